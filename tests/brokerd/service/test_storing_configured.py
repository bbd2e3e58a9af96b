"""How do the secrets that config.toml names stand beside those of the embedded store?"""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from brokershim.errors import Locked, UsageError
from tests.support import identity_daemon
from tests.support.daemon import Daemon, new_world, own_python

_NAME = "made/key"
_ROW = {
    "name": _NAME,
    "provider": "",
    "hosts": ["api.example"],
    "backend": "tokens",
    "max_ttl": 900.0,
    "version": "1",
    "bounded_by": "provider",
}


@pytest.fixture
def daemon() -> Iterator[Daemon]:
    with new_world() as world:
        text = identity_daemon.CONFIG.format(folder=json.dumps(str(world.home)))
        world.write_config("config.toml", text)
        running = Daemon(world, [*own_python(), identity_daemon.__file__])
        try:
            running.raise_if_not_ready()
            yield running
        except BaseException:
            running.abandon()
            raise
        running.stop()


def test_they_are_listed_and_shown_though_nobody_has_logged_in(daemon: Daemon) -> None:
    assert daemon.call("secret.list") == {"secrets": [_ROW], "next": None, "unlisted": None}
    assert daemon.call("secret.show", name=_NAME) == {**_ROW, "versions": []}


def test_they_stand_among_those_of_the_store_by_name(daemon: Daemon) -> None:
    for name in ("a/before", "z/after"):
        daemon.set_secret(name, hosts=["api.example"])
    rows = daemon.call("secret.list")["secrets"]
    assert [row["name"] for row in rows] == ["a/before", _NAME, "z/after"]
    assert daemon.call("secret.list", after=_NAME)["secrets"] == rows[2:]


def test_they_are_listed_while_the_store_is_locked_where_that_is_asked_for(daemon: Daemon) -> None:
    daemon.set_secret()
    daemon.call("store.lock")
    with pytest.raises(Locked):
        daemon.call("secret.list")  # else its secrets would seem to be gone
    found = daemon.call("secret.list", partial=True)
    assert [row["name"] for row in found["secrets"]] == [_NAME]
    assert "locked" in found["unlisted"]
    assert daemon.call("secret.show", name=_NAME)["name"] == _NAME


@pytest.mark.parametrize(
    ("method", "params"),
    [("secret.set", {"value": "sk-x"}), ("secret.set", {"max_ttl": 60}), ("secret.remove", {}),
     ("secret.rollback", {})],
)  # fmt: skip
def test_they_are_not_changed_by_hand(
    daemon: Daemon, method: str, params: dict[str, object]
) -> None:
    with pytest.raises(
        UsageError, match=r"config\.toml gives made/key to the backend tokens"
    ) as refused:
        daemon.call(method, name=_NAME, **params)
    assert refused.value.hint.startswith("a new value goes into that backend")
    assert not daemon.world.events("secret.changing")


def test_one_of_the_same_name_in_the_store_is_hidden(daemon: Daemon) -> None:
    daemon.set_secret("openai/dev")
    config = daemon.world.config / "config.toml"
    config.write_text(config.read_text().replace(_NAME, "openai/dev"))
    daemon.stop()
    again = Daemon(daemon.world, [*own_python(), identity_daemon.__file__])
    try:
        again.call("store.unlock", passphrase="correct horse battery")
        (row,) = again.call("secret.list")["secrets"]
        assert (row["name"], row["backend"]) == ("openai/dev", "tokens")
    finally:
        again.stop()
