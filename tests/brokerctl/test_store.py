"""`brokerctl unlock` and `brokerctl lock`."""

from __future__ import annotations

from typing import Any

import pytest

from brokershim.errors import KeyringUnavailable, Locked
from tests.brokerctl.conftest import CommandLine
from tests.brokerctl.fake_daemon import FakeDaemon

OPEN = {"master_key": "passphrase", "created": False}


def needs(what: str, cli: CommandLine) -> FakeDaemon:
    """Let a daemon ask for a passphrase before it opens."""

    def unlock(params: dict[str, Any]) -> dict[str, Any]:
        if "passphrase" not in params:
            raise Locked("the store is locked", details={"needs": what})
        return {**OPEN, "created": params["create"]}

    return cli.daemon({"store.unlock": unlock})


def test_a_keyring_needs_no_passphrase(cli: CommandLine) -> None:
    fake = cli.daemon({"store.unlock": {"master_key": "keyring", "created": False}})
    done = cli.run("unlock", stdin="not read")
    assert done.stdout == "unlocked; its master key comes from the keyring\n"
    assert fake.params("store.unlock") == [{"create": True}]


@pytest.mark.parametrize(
    ("what", "create", "says"),
    [("passphrase", False, "unlocked;"), ("new-passphrase", True, "a new store, unlocked;")],
)
def test_a_passphrase_from_a_pipe_is_one_line(
    cli: CommandLine, what: str, create: bool, says: str
) -> None:
    fake = needs(what, cli)
    done = cli.run("unlock", stdin="correct horse\nmore\n")
    assert done.stdout.startswith(says)
    assert fake.params("store.unlock")[1] == {"passphrase": "correct horse", "create": create}


def test_a_passphrase_in_a_terminal_is_unseen(cli: CommandLine) -> None:
    fake = needs("passphrase", cli)
    asking = cli.terminal("unlock")
    asking.expect("Passphrase: ")
    assert not asking.echoes()
    asking.type("correct horse\n")
    assert asking.end() == 0
    assert "correct" not in asking.seen
    assert fake.params("store.unlock")[1]["passphrase"] == "correct horse"


@pytest.mark.parametrize(("second", "status"), [("correct horse", 0), ("correct hose", 2)])
def test_a_new_passphrase_is_asked_for_twice(cli: CommandLine, second: str, status: int) -> None:
    fake = needs("new-passphrase", cli)
    asking = cli.terminal("unlock")
    asking.expect("New passphrase: ")
    asking.type("correct horse\n")
    asking.expect("The same again: ")
    asking.type(f"{second}\n")
    assert asking.end() == status
    assert len(fake.params("store.unlock")) == (2 if status == 0 else 1)


def test_an_empty_passphrase_is_refused(cli: CommandLine) -> None:
    fake = needs("passphrase", cli)
    assert cli.run("unlock", stdin="").returncode == 2
    assert len(fake.params("store.unlock")) == 1


def test_other_trouble_is_passed_on(cli: CommandLine) -> None:
    fake = cli.daemon({"store.unlock": Locked("locked", details={"needs": "something new"})})
    assert cli.run("unlock", stdin="x").returncode == 8
    fake.answers["store.unlock"] = KeyringUnavailable("no keyring")
    assert cli.run("unlock", stdin="x").returncode == 6


def test_lock(cli: CommandLine) -> None:
    fake = cli.daemon({"store.lock": {}})
    assert cli.run("lock").stdout == "locked\n"
    assert fake.calls == [("store.lock", {})]


def test_lock_without_a_daemon_starts_none(cli: CommandLine) -> None:
    done = cli.run("lock")
    assert done.returncode == 0
    assert "nothing is unlocked" in done.stderr
    assert not (cli.home / "run").exists()
