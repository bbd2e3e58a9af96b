"""What a CI's job is told where its identity is missing, broken, slow, or badly timed."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from brokerd.ambient import CIS
from brokerd.identities import apart, ci
from brokerd.identities.ci import CiJob
from brokerd.identities.jwt import Clocks
from brokershim import clock
from brokershim.errors import BackendTimeout, ClockSkew, IdentityExpired, IdentityUnavailable
from tests.support.daemon import wait_until
from tests.support.jwks import Issuer
from tests.support.provider import Answer

AUDIENCE, VARIABLE = "https://api.example.com", "HTTPS___API_EXAMPLE_COM_ID_TOKEN"
REQUEST = "ACTIONS_ID_TOKEN_REQUEST_"
HIDDEN = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJoaWRkZW4ifQ.c2lnbmF0dXJl"
Set = Callable[[dict[str, str]], None]


@pytest.fixture
def environ(monkeypatch: pytest.MonkeyPatch) -> Set:
    for each in CIS:
        monkeypatch.delenv(each.marker, raising=False)
    for name in (VARIABLE, REQUEST + "TOKEN", REQUEST + "URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(ci, "_PRODUCT", "/nowhere")

    def set_all(variables: dict[str, str]) -> None:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)

    return set_all


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    with Issuer() as made:
        yield made


def tool(folder: Path, name: str, script: str) -> dict[str, str]:
    path = folder / name
    path.write_text(f"#!{sys.executable} -IS\nimport os, sys, time\n{script}\n")
    path.chmod(0o700)
    return {"PATH": f"{folder}:/usr/bin:/bin"}


def test_where_there_is_no_job_it_says_how_to_start_inside_one(environ: Set) -> None:
    environ({})
    with pytest.raises(IdentityUnavailable, match="no job of a CI") as refused:
        CiJob("job").token(AUDIENCE)
    assert "brokerctl daemon stop" in refused.value.hint
    standing = CiJob("job").standing()
    assert standing.state == "absent"
    assert "brokerctl daemon stop" in standing.reason


def test_where_id_finds_nothing_there_is_no_job(environ: Set) -> None:
    environ({})
    with pytest.raises(IdentityUnavailable, match="no job of a CI"):
        ci.ask(AUDIENCE)


def test_it_has_to_be_told_an_audience(environ: Set) -> None:
    environ({"GITLAB_CI": "true"})
    with pytest.raises(IdentityUnavailable, match="job needs to be told an audience"):
        CiJob("job").token(None)


@pytest.mark.parametrize(
    ("marker", "reason", "advice"),
    [
        ("GITHUB_ACTIONS", "ACTIONS_ID_TOKEN_REQUEST_TOKEN", "id-token: write"),
        ("GITLAB_CI", f"variable {VARIABLE} not found", "id_tokens:"),
        ("BUILDKITE", "could not find Buildkite agent", "buildkite-agent"),
        ("CIRCLECI", "could not find `circleci`", "circleci run oidc get"),
    ],
)
def test_a_job_that_gives_no_token_says_why_and_what_to_write(
    environ: Set, marker: str, reason: str, advice: str
) -> None:
    environ({marker: "true", "PATH": "/nowhere", "ACTIONS_ID_TOKEN_REQUEST_TOKEN": ""})
    with pytest.raises(IdentityUnavailable) as refused:
        CiJob("job").token(AUDIENCE)
    assert reason in refused.value.message
    assert advice in refused.value.hint


@pytest.mark.parametrize(
    ("variables", "advice"),
    [
        ({"GITHUB_ACTIONS": "true"}, "`permissions: id-token: write`"),
        ({"GITHUB_ACTIONS": "true", REQUEST + "TOKEN": "t"}, "`permissions: id-token: write`"),
        (
            {"GITHUB_ACTIONS": "true", REQUEST + "TOKEN": "t", REQUEST + "URL": ""},
            "`permissions: id-token: write`",
        ),
        ({"GITLAB_CI": "true"}, "`id_tokens:`"),
        ({"GITLAB_CI": "true", VARIABLE: ""}, "`id_tokens:`"),
    ],
)
def test_a_job_that_can_be_seen_to_get_no_token_is_not_ready(
    environ: Set, variables: dict[str, str], advice: str
) -> None:
    environ(variables)
    standing = CiJob("job").standing()
    assert standing.state == "failed"
    assert advice in standing.reason


@pytest.mark.parametrize(
    "variables",
    [
        {"GITHUB_ACTIONS": "true", REQUEST + "TOKEN": "t", REQUEST + "URL": "https://r.example"},
        {"GITLAB_CI": "true", VARIABLE: "t"},
        {"BUILDKITE": "true"},
        {"CIRCLECI": "true"},
    ],
)
def test_a_job_that_may_get_a_token_is_ready(environ: Set, variables: dict[str, str]) -> None:
    environ(variables)
    assert CiJob("job").standing().state == "ready"


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (403, HIDDEN, "gives no token: OIDC token request failed (code=403)"),
        (500, "<html>" + HIDDEN, "(code=500)"),
        (200, HIDDEN, "malformed or incomplete JSON"),
        (200, '{"value": ["' + HIDDEN + '"]}', "malformed or incomplete JSON"),
        (200, '{"value": "' + HIDDEN + '"}', "gives no token: Malformed token payload"),
    ],
)
def test_what_a_server_says_is_not_repeated(
    environ: Set, issuer: Issuer, status: int, body: str, said: str
) -> None:
    environ(issuer.github_job())
    issuer.refusal = Answer(status, body.encode())
    with pytest.raises(IdentityUnavailable) as refused:
        CiJob("job").token(AUDIENCE)
    assert said in refused.value.message
    assert not any(part in str(refused.value.to_wire()) for part in HIDDEN.split("."))


def test_a_token_for_somebody_else_is_refused_and_not_repeated(
    environ: Set, issuer: Issuer
) -> None:
    environ({"GITLAB_CI": "true", VARIABLE: issuer.gitlab("https://other.example.com")})
    with pytest.raises(IdentityUnavailable, match=r"Token audience claim mismatch$"):
        CiJob("job").token(AUDIENCE)


def test_a_server_that_is_not_there_is_a_typed_error(environ: Set) -> None:
    environ(
        {
            "GITHUB_ACTIONS": "true",
            "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "t",
            "ACTIONS_ID_TOKEN_REQUEST_URL": "http://127.0.0.1:1/token?hidden=1",
        }
    )
    with pytest.raises(IdentityUnavailable, match="timed out") as refused:
        CiJob("job").token(AUDIENCE)
    assert "hidden" not in str(refused.value.to_wire())


def test_what_id_lets_through_is_named_by_its_kind_only(environ: Set) -> None:
    environ(
        {
            "GITHUB_ACTIONS": "true",
            "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "t\nhidden",
            "ACTIONS_ID_TOKEN_REQUEST_URL": "http://127.0.0.1:1/",
        }
    )
    with pytest.raises(IdentityUnavailable, match=r"gives no token: ValueError$"):
        CiJob("job").token(AUDIENCE)


@pytest.mark.parametrize("marker", ["BUILDKITE", "CIRCLECI"])
def test_the_tool_of_a_ci_gives_the_token(
    environ: Set, issuer: Issuer, tmp_path: Path, marker: str
) -> None:
    name = {"BUILDKITE": "buildkite-agent", "CIRCLECI": "circleci"}[marker]
    text = issuer.github(AUDIENCE)
    environ({marker: "true", **tool(tmp_path, name, f"print({text!r})")})
    assert CiJob("job").token(AUDIENCE).value == text


@pytest.mark.parametrize("marker", ["BUILDKITE", "CIRCLECI"])
def test_what_a_tool_says_is_not_repeated(environ: Set, tmp_path: Path, marker: str) -> None:
    name = {"BUILDKITE": "buildkite-agent", "CIRCLECI": "circleci"}[marker]
    script = f"print({HIDDEN!r}); print({HIDDEN!r}, file=sys.stderr); sys.exit(1)"
    environ({marker: "true", **tool(tmp_path, name, script)})
    with pytest.raises(IdentityUnavailable, match=r"encountered an error$") as refused:
        CiJob("job").token(AUDIENCE)
    assert not any(part in str(refused.value.to_wire()) for part in HIDDEN.split("."))


def test_a_tool_that_says_too_much_does_not_fill_the_daemon(
    environ: Set, issuer: Issuer, tmp_path: Path
) -> None:
    """The daemon takes what the process apart lets it have, and that is no more than a token."""
    rest = issuer.github(AUDIENCE).partition(".")[2]
    script = f"print('a' * 4 * 1024 * 1024 + '.{rest}')"
    environ({"CIRCLECI": "true", **tool(tmp_path, "circleci", script)})
    assert len(apart.ask("ci", {"audience": AUDIENCE}, "CircleCI")) == 16 * 1024 + 1
    with pytest.raises(IdentityUnavailable, match="not a signed JWT"):
        CiJob("job").token(AUDIENCE)


def test_a_tool_that_hangs_is_ended_with_all_that_it_started(environ: Set, tmp_path: Path) -> None:
    started, lives = tmp_path / "started", tmp_path / "lives"
    script = f"os.mkfifo({str(lives)!r}); open({str(started)!r}, 'w').close(); open({str(lives)!r})"
    environ({"BUILDKITE": "true", **tool(tmp_path, "buildkite-agent", script)})
    with pytest.raises(BackendTimeout, match="Buildkite did not answer in 2 s"):
        apart.ask("ci", {"audience": AUDIENCE}, "Buildkite", seconds=2.0)
    assert started.exists()
    wait_until(lambda: not _is_read(lives))  # killed, it is gone in a moment


def _is_read(fifo: Path) -> bool:
    """Return whether a process waits at the pipe's other end (ENXIO where none does, fifo(7))."""
    try:
        os.close(os.open(fifo, os.O_WRONLY | os.O_NONBLOCK))
    except OSError:
        return False
    return True


def test_a_job_of_gitlab_that_outlives_its_token_says_since_when(
    environ: Set, issuer: Issuer
) -> None:
    environ({"GITLAB_CI": "true", VARIABLE: issuer.gitlab(AUDIENCE)})
    later = Clocks(lambda: time.time() + 7200, clock.now)
    with pytest.raises(IdentityExpired, match="the token of GitLab CI was over at"):
        CiJob("job", later).token(AUDIENCE)


@pytest.mark.parametrize("off", [600, -1200])
def test_a_token_made_just_now_that_is_not_valid_now_says_that_the_clock_is_off(
    environ: Set, issuer: Issuer, off: int
) -> None:
    environ(issuer.github_job())
    with pytest.raises(ClockSkew):
        CiJob("job", Clocks(lambda: time.time() + off, clock.now)).token(AUDIENCE)


def test_a_machine_of_google_is_known_by_its_firmware(
    environ: Set, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    environ({})
    (tmp_path / "product_name").write_text("Google Compute Engine\n")
    monkeypatch.setattr(ci, "_PRODUCT", str(tmp_path / "product_name"))
    assert CiJob("job").standing().issuer == "Google Cloud"


def test_it_says_as_whom_a_token_named_it(environ: Set, issuer: Issuer) -> None:
    environ(issuer.github_job())
    job = CiJob("job")
    assert (job.standing().state, job.standing().subject) == ("ready", "")
    subject = job.token(AUDIENCE).subject
    assert job.standing().subject == subject != ""
