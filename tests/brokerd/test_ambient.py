"""Which variables of a CI's job reach the daemon, and which never reach a program."""

from __future__ import annotations

import pytest

from brokerctl.spawn import environment
from brokerd.ambient import CIS, asks_for_identity, found_in, proves_identity

GITHUB = {
    "GITHUB_ACTIONS": "true",
    "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "t",
    "ACTIONS_ID_TOKEN_REQUEST_URL": "https://runner.example.com",
}
BUILDKITE = {
    "BUILDKITE": "true",
    "BUILDKITE_JOB_ID": "j",
    "BUILDKITE_AGENT_ACCESS_TOKEN": "t",
    "BUILDKITE_AGENT_ENDPOINT": "https://agent.example.com",
    "BUILDKITE_AGENT_JOB_API_SOCKET": "/run/job.sock",
    "BUILDKITE_AGENT_JOB_API_TOKEN": "t",
}
NOT_NEEDED = {
    "GITHUB_TOKEN": "t",
    "ACTIONS_RUNTIME_TOKEN": "t",
    "BUILDKITE_COMMAND": "make",
    "CI_JOB_TOKEN": "t",
    "CIRCLE_BRANCH": "main",
    "OPENAI_API_KEY": "k",
    "DEPLOY_TOKEN": "t",
}


@pytest.mark.parametrize(
    ("title", "environ"),
    [
        ("GitHub Actions", GITHUB),
        ("Google Cloud", {"GOOGLE_SERVICE_ACCOUNT_NAME": "robot@example.com"}),
        ("Buildkite", BUILDKITE),
        ("GitLab CI", {"GITLAB_CI": "true", "HTTPS___API_EXAMPLE_COM_ID_TOKEN": "t"}),
        ("CircleCI", {"CIRCLECI": "true", "CIRCLE_INTERNAL_TASK_DATA": "/task"}),
    ],
)
def test_the_daemon_of_a_job_gets_what_it_asks_with_and_nothing_else(
    title: str, environ: dict[str, str]
) -> None:
    found = found_in(environ)
    assert found is not None
    assert found.title == title
    assert environment({**environ, **NOT_NEEDED}) == environ


def test_the_daemon_in_a_container_of_aws_gets_what_names_its_role_and_no_keys() -> None:
    task = {"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/v2/credentials/1"}
    pod = {
        "AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://169.254.170.23/v1/credentials",
        "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": "/var/run/secrets/token",
    }
    others = {
        "AWS_ACCESS_KEY_ID": "AKIA",
        "AWS_SECRET_ACCESS_KEY": "k",
        "AWS_SESSION_TOKEN": "t",
        "AWS_ENDPOINT_URL": "https://evil.example",
        "AWS_PROFILE": "prod",
    }
    for container in (task, pod):
        assert environment({**container, **others, **NOT_NEEDED}) == container


def test_outside_a_job_the_daemon_gets_none_of_it() -> None:
    outside = {**GITHUB, **BUILDKITE, "MY_ID_TOKEN": "t"}
    for ci in CIS:
        outside.pop(ci.marker, None)
    assert found_in(outside) is None
    assert asks_for_identity(outside) == set()
    assert proves_identity(outside) == set()
    assert environment(outside) == {}


def test_a_job_that_runs_two_ci_markers_hides_what_proves_either() -> None:
    both = {**GITHUB, **BUILDKITE}
    assert proves_identity(both) == {
        "ACTIONS_ID_TOKEN_REQUEST_TOKEN",
        "ACTIONS_ID_TOKEN_REQUEST_URL",
        "BUILDKITE_AGENT_ACCESS_TOKEN",
    }


def test_an_empty_marker_is_no_job() -> None:
    assert asks_for_identity({**GITHUB, "GITHUB_ACTIONS": ""}) == set()
