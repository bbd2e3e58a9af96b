"""backend.*: what is told of the backends, what they allow, and what they are given."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from brokershim.errors import BackendNotFound, InvalidParams, ServerDown, UsageError
from tests.support import identity_daemon
from tests.support.daemon import Daemon, new_world, own_python
from tests.support.identities import READY, FolderIdentity

_MORE = """
[backend.{name}]
kind = "test"
login = "folder"
folder = {folder}
"""
GIVEN = "what-nobody-else-may-see"


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    """Run one for all; what a test leaves is taken away by `corp`."""
    with new_world() as world:
        folder = json.dumps(str(world.home))
        more = [_MORE.format(name=name, folder=folder) for name in ("away", "corp")]
        text = identity_daemon.CONFIG.format(folder=folder) + "".join(more)
        world.write_config("config.toml", text)
        running = Daemon(world, [*own_python(), identity_daemon.__file__])
        try:
            running.raise_if_not_ready()
            yield running
        except BaseException:
            running.abandon()
            raise
        running.stop()


@pytest.fixture
def corp(daemon: Daemon) -> Iterator[FolderIdentity]:
    home = daemon.world.home
    yield FolderIdentity("corp", home)
    for each in home.glob("corp.*"):
        each.unlink()


def _corp(daemon: Daemon) -> dict[str, Any]:
    rows = {row["name"]: row for row in daemon.call("backend.list")["backends"]}
    assert list(rows) == ["away", "corp", "tokens"]
    found: dict[str, Any] = rows["corp"]
    return found


def test_the_list_says_what_each_waits_for(daemon: Daemon) -> None:
    _, corp, tokens = daemon.call("backend.list")["backends"]
    health = {"state": "closed", "failures": 0, "retry_in": None, "reason": ""}
    nobody = {"state": "login", "issuer": "", "subject": "", "until": None, "reason": ""}
    assert tokens == {
        "name": "tokens",
        "kind": "test",
        "login": "",
        "enrolment": None,
        "account": None,
        **health,
    }
    assert corp == {
        "name": "corp",
        "kind": "test",
        "login": "folder",
        **health,
        "enrolment": {"wants": "a word that begins with w", "done": False, "reason": ""},
        "account": nobody,
    }
    assert daemon.call("backend.list", after="corp") == {"backends": [tokens], "next": None}


def test_the_list_says_who_is_logged_in(daemon: Daemon, corp: FolderIdentity) -> None:
    corp.stands(READY)
    assert (_corp(daemon)["account"]["state"], _corp(daemon)["account"]["subject"]) == (
        "ready",
        "alice",
    )


def test_a_keyring_that_refuses_does_not_break_the_list(
    daemon: Daemon, corp: FolderIdentity
) -> None:
    corp.file("keyring-hangs").touch()
    enrolment = _corp(daemon)["enrolment"]
    assert (enrolment["done"], enrolment["reason"]) == (None, "the keyring does not answer")


def test_giving_leaves_a_trace_and_not_the_value(daemon: Daemon, corp: FolderIdentity) -> None:
    assert daemon.call("backend.enrol", backend="corp", value=GIVEN) == {}
    assert corp.file("given").read_text() == GIVEN
    assert _corp(daemon)["enrolment"]["done"] is True
    begun, done = daemon.world.events("backend.enrolling", "backend.enrolled")[-2:]
    assert (begun["backend"], begun["pid"]) == ("corp", os.getpid())
    assert (done["backend"], done["pid"]) == ("corp", os.getpid())
    assert GIVEN not in json.dumps(daemon.world.events()) + daemon.log


def test_what_is_no_such_thing_is_refused(daemon: Daemon, corp: FolderIdentity) -> None:
    with pytest.raises(UsageError, match="no such word"):
        daemon.call("backend.enrol", backend="corp", value="x" * 10)
    refused = daemon.world.events("backend.not_enrolled")[-1]
    assert (refused["backend"], refused["kind"]) == ("corp", UsageError.kind)
    assert not corp.file("given").exists()


@pytest.mark.parametrize(("characters", "fits"), [(32_768, True), (32_769, False)])
def test_what_is_given_is_bounded(
    daemon: Daemon, corp: FolderIdentity, characters: int, *, fits: bool
) -> None:
    value = "w" * characters
    if fits:
        daemon.call("backend.enrol", backend="corp", value=value)
    else:
        with pytest.raises(UsageError, match="over 32768 bytes"):
            daemon.call("backend.enrol", backend="corp", value=value)
    assert corp.file("given").exists() == fits


def test_what_takes_nothing_is_given_nothing(daemon: Daemon) -> None:
    for name in ("tokens", "embedded"):
        with pytest.raises(UsageError, match="logs in with nothing"):
            daemon.call("backend.enrol", backend=name, value=GIVEN)
        with pytest.raises(UsageError, match="cannot tell"):
            daemon.call("backend.check", backend=name)


def test_a_backend_that_is_not_there_is_not_repeated(daemon: Daemon) -> None:
    for method, more in (("backend.check", {}), ("backend.enrol", {"value": "x"})):
        with pytest.raises(BackendNotFound) as missing:
            daemon.call(method, backend="sk-a-key-in-the-wrong-place", **more)
        assert "sk-" not in json.dumps(missing.value.to_wire())


def _findings(corp: FolderIdentity, *found: dict[str, Any]) -> Path:
    path = corp.file("findings")
    path.write_text(json.dumps(found))
    return path


def test_what_it_allows(daemon: Daemon, corp: FolderIdentity) -> None:
    fine = {"subject": "a/one", "path": "secret/data/one", "has": ["read"]}
    beyond = {**fine, "has": ["list", "read"], "beyond": ["list"], "hint": "take list away"}
    _findings(corp, fine, beyond, {**beyond, "subject": "", "lacks": ["read"]})
    found = daemon.call("backend.check", backend="corp")
    assert found["next"] is None
    assert found["findings"][0] == {
        **fine, "lacks": [], "beyond": [], "hint": "", "verdict": "ok",
    }  # fmt: skip
    assert [each["verdict"] for each in found["findings"]] == ["ok", "beyond", "lacks"]
    assert found["findings"][1]["hint"] == "take list away"


def test_much_of_it_comes_in_pages(daemon: Daemon, corp: FolderIdentity) -> None:
    names = [f"a/{number}" for number in range(1000)]
    _findings(corp, *({"subject": name, "path": "p" * 100} for name in names))
    got: list[str] = []
    after: dict[str, str] = {}
    while True:
        reply = daemon.call("backend.check", backend="corp", **after)
        got += [each["subject"] for each in reply["findings"]]
        if reply["next"] is None:
            break
        after = {"after": reply["next"]}
    assert got == names
    assert after
    with pytest.raises(InvalidParams):
        daemon.call("backend.check", backend="corp", after="corp")


def test_one_that_is_away_is_left_alone_like_for_any_other_question(daemon: Daemon) -> None:
    away = FolderIdentity("away", daemon.world.home)
    for _ in range(3):
        with pytest.raises(ServerDown, match="cannot be reached"):
            daemon.call("backend.check", backend="away")
    failed = daemon.world.events("backend.unchecked")[-1]
    assert (failed["backend"], failed["kind"], failed["pid"]) == (
        "away",
        ServerDown.kind,
        os.getpid(),
    )
    assert daemon.call("backend.list")["backends"][0]["state"] == "open"
    _findings(away)
    with pytest.raises(ServerDown, match="it is asked again"):
        daemon.call("backend.check", backend="away")
