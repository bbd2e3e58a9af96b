from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from brokershim.errors import BrokerError, SecretNotFound, UsageError, WrongPassphrase
from tests.support.daemon import PASSPHRASE, Daemon, new_world, started
from tests.support.raw import Raw, request

_KEY = "sk-never-shown-0123456789"


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    with new_world() as world, started(world) as running:
        running.set_secret("openai/dev", _KEY)
        yield running


def _changes(daemon: Daemon, name: str) -> list[tuple[str, str]]:
    events = daemon.world.events("secret.changing", "secret.changed", "secret.unchanged")
    return [(each["event"], each["action"]) for each in events if each["secret"] == name]


def test_no_method_but_acquire_returns_a_value(daemon: Daemon) -> None:
    with Raw(daemon.world.socket) as raw:
        for method, params in (
            ("secret.set", {"name": "openai/dev", "value": _KEY}),
            ("secret.show", {"name": "openai/dev"}),
            ("secret.list", {}),
            ("secret.rollback", {"name": "openai/dev"}),
            ("daemon.status", {}),
            ("lease.list", {}),
            ("session.list", {}),
        ):
            raw.send(request(method, **params))
            reply = json.dumps(raw.reply())
            assert '"result"' in reply
            assert _KEY not in reply
    assert _KEY not in json.dumps(daemon.world.events())
    assert _KEY not in daemon.log


def test_a_secret_is_made_changed_shown_and_removed(daemon: Daemon) -> None:
    made = daemon.call("secret.set", name="groq/x", value="gsk-1")
    assert made == {"name": "groq/x", "version": "1", "created": True}
    again = daemon.call("secret.set", name="groq/x", value="gsk-2", max_ttl=60)
    assert again == {"name": "groq/x", "version": "2", "created": False}
    found = daemon.call("secret.show", name="groq/x")
    assert found["provider"] == "groq"
    assert found["hosts"] == ["api.groq.com"]
    assert (found["max_ttl"], found["bounded_by"], found["backend"]) == (60, "broker", "embedded")
    assert [each["version"] for each in found["versions"]] == ["1", "2"]
    assert daemon.call("secret.rollback", name="groq/x") == {"name": "groq/x", "version": "3"}
    assert daemon.call("secret.remove", name="groq/x") == {}
    with pytest.raises(SecretNotFound):
        daemon.call("secret.show", name="groq/x")
    assert _changes(daemon, "groq/x") == [
        (event, action)
        for action in ("set", "set", "rollback", "remove")
        for event in ("secret.changing", "secret.changed")
    ]


def test_what_is_stored_is_rotated_by_storing_another(daemon: Daemon) -> None:
    with pytest.raises(UsageError, match="makes no newer key") as caught:
        daemon.call("secret.rotate", name="openai/dev")
    assert "`brokerctl secret set openai/dev`" in caught.value.hint


def test_a_change_that_fails_is_begun_and_not_made_says_the_audit(daemon: Daemon) -> None:
    with pytest.raises(UsageError):
        daemon.call("secret.set", name="openai/bad", value="sk-x\n")
    with pytest.raises(SecretNotFound):
        daemon.call("secret.remove", name="openai/bad")
    assert _changes(daemon, "openai/bad") == [
        ("secret.changing", "set"),
        ("secret.unchanged", "set"),
        ("secret.changing", "remove"),
        ("secret.unchanged", "remove"),
    ]


@pytest.mark.parametrize(
    "value", ["", "ключ", "sk-\x7f", " sk-x", "sk-x\r\n", "brokerref:a", "x" * 16_385]
)
def test_a_value_that_is_no_key_is_refused_and_not_repeated(daemon: Daemon, value: str) -> None:
    with pytest.raises(UsageError) as refused:
        daemon.call("secret.set", name="openai/dev", value=value)
    assert not value or value not in json.dumps(refused.value.to_wire(), ensure_ascii=False)


@pytest.mark.parametrize("max_ttl", [0, -1, 0.5, 86_401, 2**52])
def test_a_life_that_is_none_is_refused(daemon: Daemon, max_ttl: float) -> None:
    with pytest.raises(UsageError):
        daemon.call("secret.set", name="openai/dev", max_ttl=max_ttl)


def test_what_does_not_fit_a_line_comes_in_pages(daemon: Daemon) -> None:
    names = [f"many/{n}" for n in range(10, 20)]
    hosts = [f"{'x.' * 100}{n}.example.com" for n in range(32)]
    for name in names:
        daemon.call("secret.set", name=name, value="sk-x", hosts=hosts)
    found: list[str] = []
    after = None
    pages = 0
    while True:
        reply = daemon.call("secret.list", after=after)
        found += [each["name"] for each in reply["secrets"]]
        after, pages = reply["next"], pages + 1
        if after is None:
            break
    assert [each for each in found if each.startswith("many/")] == names
    assert len(found) == len(set(found))
    assert pages > 1


def test_a_wrong_passphrase_opens_nothing_and_is_repeated_nowhere(daemon: Daemon) -> None:
    daemon.call("store.lock")
    with pytest.raises(WrongPassphrase) as refused:
        daemon.call("store.unlock", passphrase="a wrong passphrase")
    assert "a wrong passphrase" not in json.dumps(refused.value.to_wire())
    with pytest.raises(BrokerError, match="locked"):
        daemon.call("secret.set", name="openai/dev", value="sk-x")
    assert daemon.call("store.unlock", passphrase=PASSPHRASE)["created"] is False
    text = json.dumps(daemon.world.events()) + daemon.log
    assert "passphrase" not in text.replace("locked.wrong_passphrase", "")
