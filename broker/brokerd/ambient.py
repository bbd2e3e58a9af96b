"""Which CI does a job run in, and which of its variables prove which job it is? (Pure.)

Sources: what the package `id` reads, in its module of ambient credentials; GitHub, "OpenID
Connect reference"; Buildkite, "buildkite-agent oidc" and the changelog of agent 3.104; GitLab,
"ID token authentication"; CircleCI, "Using OpenID Connect tokens in jobs".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple


class Ci(NamedTuple):
    """One CI.

    Attributes:
        title: Its name, for people.
        marker: The variable that says that a job runs there.
        asking: Names of the variables that a token is asked for with, or that hold one.
        proving: Names of those with which any program could pass for the job.
        advice: What to write where it is there and gives no token.
        needed: What it gives no token without: a variable for each of these has to hold something.
    """

    title: str
    marker: str
    asking: re.Pattern[str]
    proving: re.Pattern[str]
    advice: str
    needed: tuple[re.Pattern[str], ...] = ()


CONTAINER = frozenset(
    {
        "AWS_CONTAINER_AUTHORIZATION_TOKEN",
        "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI",
        "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    }
)
"""What a container of AWS asks for its role's credentials with (AWS SDKs and Tools Reference Guide,
"Container credential provider")."""
_NOTHING = re.compile("(?!)")
_GITHUB = re.compile(r"ACTIONS_ID_TOKEN_REQUEST_(?:TOKEN|URL)")
_GITLAB = re.compile(r"\w+_ID_TOKEN")

# In the order in which `id` looks for them.
CIS = (
    Ci(
        "GitHub Actions",
        "GITHUB_ACTIONS",
        _GITHUB,
        _GITHUB,
        "give the job `permissions: id-token: write`",
        needed=(
            re.compile("ACTIONS_ID_TOKEN_REQUEST_TOKEN"),
            re.compile("ACTIONS_ID_TOKEN_REQUEST_URL"),
        ),
    ),
    Ci(
        "Google Cloud",
        "GOOGLE_SERVICE_ACCOUNT_NAME",
        _NOTHING,
        _NOTHING,
        "let this machine's service account create ID tokens of that one",
    ),
    Ci(
        "Buildkite",
        "BUILDKITE",
        re.compile(
            "BUILDKITE_(?:JOB_ID|AGENT_(?:ACCESS_TOKEN|ENDPOINT|JOB_API_SOCKET|JOB_API_TOKEN))"
        ),
        re.compile("BUILDKITE_AGENT_ACCESS_TOKEN"),
        "see that `buildkite-agent oidc request-token` works in the job",
    ),
    Ci(
        "GitLab CI",
        "GITLAB_CI",
        _GITLAB,
        _GITLAB,
        "declare a variable for the audience under `id_tokens:` of the job, with it as `aud`",
        needed=(_GITLAB,),
    ),
    Ci(
        "CircleCI",
        "CIRCLECI",
        re.compile(r"CIRCLE_INTERNAL_\w+"),
        re.compile("CIRCLE_OIDC_TOKEN(?:_V2)?"),
        "see that `circleci run oidc get` works in the job",
    ),
)


def found_in(environ: Mapping[str, str]) -> Ci | None:
    """Return the CI that an environment is of; None where it is of none."""
    return next((ci for ci in CIS if environ.get(ci.marker)), None)


def gives_nothing(ci: Ci, environ: Mapping[str, str]) -> bool:
    """Return whether it can be seen in a job's environment that it is given no token."""
    there = [name for name, value in environ.items() if value]
    return not all(any(map(needed.fullmatch, there)) for needed in ci.needed)


def asks_for_identity(environ: Mapping[str, str]) -> set[str]:
    """Return the variables of an environment that a job's identity is asked for with."""
    return {
        name
        for ci in CIS
        for name in environ
        if environ.get(ci.marker) and (name == ci.marker or ci.asking.fullmatch(name))
    }


def proves_identity(environ: Mapping[str, str]) -> set[str]:
    """Return the variables with which a program could pass for the job itself."""
    return {
        name
        for ci in CIS
        for name in environ
        if environ.get(ci.marker) and ci.proving.fullmatch(name)
    }
