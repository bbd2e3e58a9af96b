"""What is told of an agent that is not there, refuses, hangs, or answers nonsense."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from brokerd.identities import apart, spiffe
from brokerd.identities.jwt import Clocks
from brokerd.identities.spiffe import Workload
from brokershim import clock
from brokershim.errors import BackendTimeout, ClockSkew, IdentityUnavailable, ServerDown
from tests.support.tokens import token
from tests.support.workload_api import SUBJECT, WorkloadApi

AUDIENCE = "https://api.example.com"
OTHER = "spiffe://example.org/other"


@pytest.fixture
def api(tmp_path: Path) -> Iterator[WorkloadApi]:
    with WorkloadApi(tmp_path) as running:
        yield running


def test_it_names_the_workload(api: WorkloadApi) -> None:
    workload = Workload("app", api.path, None)
    assert workload.standing().subject == ""
    assert workload.token(AUDIENCE).subject == SUBJECT
    assert workload.standing().subject == SUBJECT


def test_one_of_several_identities_is_asked_for_by_name(api: WorkloadApi) -> None:
    api.subjects = [SUBJECT, OTHER]
    assert Workload("app", api.path, OTHER).token(AUDIENCE).subject == OTHER


def test_another_identity_than_the_one_asked_for_is_refused(api: WorkloadApi) -> None:
    api.text(token([AUDIENCE], sub=SUBJECT))
    with pytest.raises(IdentityUnavailable, match=f"names us {SUBJECT}, and not {OTHER}"):
        Workload("app", api.path, OTHER).token(AUDIENCE)


def test_it_has_to_be_told_an_audience(api: WorkloadApi) -> None:
    with pytest.raises(IdentityUnavailable, match="app needs to be told an audience"):
        Workload("app", api.path, None).token(None)


def test_where_there_is_no_socket_it_is_absent(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for name in ("agent.sock", "file"):
        workload = Workload("app", str(tmp_path / name), None)
        with pytest.raises(IdentityUnavailable, match="there is no socket"):
            workload.token(AUDIENCE)
        assert workload.standing().state == "absent"
        assert "is the SPIFFE agent running?" in workload.standing().reason


def test_a_socket_that_nobody_answers_on_is_a_typed_error(tmp_path: Path) -> None:
    path = str(tmp_path / "agent.sock")
    with socket.socket(socket.AF_UNIX) as left_over:
        left_over.bind(path)
    with pytest.raises(IdentityUnavailable, match="does not answer"):
        Workload("app", path, None).token(AUDIENCE)


def test_an_agent_that_does_not_know_us_says_what_to_do(api: WorkloadApi) -> None:
    api.subjects = []
    with pytest.raises(IdentityUnavailable, match="no such identity for us") as refused:
        Workload("app", api.path, None).token(AUDIENCE)
    assert "register" in refused.value.hint


def test_without_the_header_that_the_api_requires_there_is_no_answer(api: WorkloadApi) -> None:
    with grpc.insecure_channel(f"unix://{api.path}") as channel:
        call = channel.unary_unary("/SpiffeWorkloadAPI/FetchJWTSVID")
        with pytest.raises(grpc.RpcError, match="security header missing"):
            call(b"", timeout=5)


@pytest.mark.parametrize(
    ("code", "error", "said"),
    [
        (grpc.StatusCode.INTERNAL, ServerDown, "fails with INTERNAL"),
        (grpc.StatusCode.UNIMPLEMENTED, ServerDown, "fails with UNIMPLEMENTED"),
        (grpc.StatusCode.UNAVAILABLE, IdentityUnavailable, "does not answer"),
        (grpc.StatusCode.DEADLINE_EXCEEDED, BackendTimeout, "did not answer in"),
    ],
)
def test_what_an_agent_says_is_not_repeated(
    api: WorkloadApi, code: grpc.StatusCode, error: type[Exception], said: str
) -> None:
    api.fail(code, "hidden words")
    with pytest.raises(error, match=said) as refused:
        Workload("app", api.path, None).token(AUDIENCE)
    assert "hidden" not in repr(refused.value)


@pytest.mark.parametrize("text", ["", "hidden", "a.b.c", token("https://other.example.com")])
def test_what_is_no_token_for_us_is_a_typed_error(api: WorkloadApi, text: str) -> None:
    api.text(text)
    with pytest.raises((ServerDown, IdentityUnavailable)) as refused:
        Workload("app", api.path, None).token(AUDIENCE)
    assert "hidden" not in repr(refused.value)


def test_an_answer_with_no_token_is_a_typed_error(api: WorkloadApi) -> None:
    api.nothing()
    with pytest.raises(ServerDown, match="no JWT-SVID"):
        Workload("app", api.path, None).token(AUDIENCE)


def test_one_that_is_over_as_it_is_made_says_that_the_clock_is_off(api: WorkloadApi) -> None:
    api.claims = {"exp": int(time.time()) - 600}
    with pytest.raises(ClockSkew):
        Workload("app", api.path, None).token(AUDIENCE)


@pytest.mark.parametrize("off", [600, -600])
def test_a_clock_that_is_off_is_named(api: WorkloadApi, off: int) -> None:
    clocks = Clocks(lambda: time.time() + off, clock.now)
    with pytest.raises(ClockSkew):
        Workload("app", api.path, None, clocks).token(AUDIENCE)


def test_an_agent_that_hangs_is_given_up(api: WorkloadApi, monkeypatch: pytest.MonkeyPatch) -> None:
    api.hang()
    monkeypatch.setattr(spiffe, "_CALL_SECONDS", 0.5)
    with pytest.raises(BackendTimeout, match="did not answer"):
        spiffe.ask(api.path, AUDIENCE, "")


def test_even_one_that_the_library_waits_for_is_given_up(api: WorkloadApi) -> None:
    api.hang()
    request = {"path": api.path, "audience": AUDIENCE, "spiffe_id": ""}
    with pytest.raises(BackendTimeout, match="the agent did not answer in 2 s"):
        apart.ask("spiffe", request, "the agent", seconds=2.0)


def test_asking_leaves_no_thread_and_no_descriptor_behind(api: WorkloadApi) -> None:
    workload = Workload("app", api.path, None)
    workload.token(AUDIENCE)
    api.stop()
    with pytest.raises(IdentityUnavailable):
        workload.token(AUDIENCE)
    before = threading.active_count(), len(os.listdir("/dev/fd"))
    for _ in range(3):
        with pytest.raises(IdentityUnavailable):
            workload.token(AUDIENCE)
    assert (threading.active_count(), len(os.listdir("/dev/fd"))) == before
