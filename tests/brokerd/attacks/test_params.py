"""Requests that are well formed and mean nothing, or nothing that can be done."""

from __future__ import annotations

import json
from typing import Any

import pytest

from brokershim.errors import BrokerError
from tests.support.daemon import Daemon
from tests.support.raw import Raw, request

_PARAMS: dict[str, tuple[str, dict[str, Any]]] = {
    "a missing one": ("lease.acquire", {}),
    "an unknown one": ("daemon.status", {"verbose": True}),
    "a misspelt one": ("lease.revoke", {"lesae": "x"}),
    "one of the daemon's own": ("daemon.status", {"caller": "me"}),
    "self": ("daemon.status", {"self": 1}),
    "a number for text": ("lease.acquire", {"secret": 5}),
    "null for text": ("lease.acquire", {"secret": None}),
    "a list for text": ("lease.acquire", {"secret": ["openai/dev"]}),
    "true for a number": ("lease.report", {"lease": "x", "status": True}),
    "text for a number": ("lease.report", {"lease": "x", "status": "401"}),
    "a fraction for a whole number": ("lease.report", {"lease": "x", "status": 401.0}),
    "true for seconds": ("secret.set", {"name": "openai/dev", "max_ttl": True}),
    "a number of seconds with 400 digits": ("secret.set", {"name": "a", "max_ttl": 10**400}),
    "a number for a switch": ("lease.revoke", {"all": 1}),
    "text for a switch": ("lease.revoke", {"all": "true"}),
    "text for a list": ("secret.set", {"name": "openai/dev", "hosts": "api.openai.com"}),
    "a number in a list": ("secret.set", {"name": "openai/dev", "hosts": [1]}),
    "a list for an object": ("session.open", {"program": "/bin/true", "env": []}),
    "a number in an object": ("session.open", {"program": "/bin/true", "env": {"A": 1}}),
    "null in an object": ("session.open", {"program": "/bin/true", "env": {"A": None}}),
    "a zero byte in text": ("lease.acquire", {"secret": "openai/dev\0"}),
    "a zero byte in a path": ("project.show", {"path": "/tmp/\0"}),
    "a zero byte in a list": ("secret.set", {"name": "openai/dev", "hosts": ["a\0b"]}),
    "a zero byte in a name of an object": (
        "session.open",
        {"program": "/bin/true", "env": {"A\0": "openai/dev"}},
    ),
    "neither of two": ("lease.revoke", {}),
    "both of two": ("lease.revoke", {"lease": "x", "all": True}),
    "a status that means no refusal": ("lease.report", {"lease": "x", "status": 500}),
    "a place that no page named": ("lease.list", {"after": "-1"}),
    "a place in other digits": ("session.list", {"after": "٣"}),
    "a place of a thousand digits": ("lease.list", {"after": "9" * 1000}),
    "a relative program": ("session.open", {"program": "true", "env": {"A": "openai/dev"}}),
    "a relative script": (
        "session.open",
        {"program": "/bin/true", "script": "x.py", "env": {"A": "openai/dev"}},
    ),
}


@pytest.mark.parametrize("what", _PARAMS)
def test_a_parameter_that_does_not_fit_is_named_and_nothing_is_done(
    daemon: Daemon, what: str
) -> None:
    method, params = _PARAMS[what]
    events = len(daemon.world.events())
    with Raw(daemon.world.socket) as raw:
        raw.send(request(method, **params))
        assert raw.kind() == "bad_request.invalid_params"
    assert len(daemon.world.events()) == events


def test_more_seconds_than_there_are(daemon: Daemon) -> None:
    line = request("secret.set", name="openai/dev", max_ttl=0).replace(b'": 0', b'": 1e999')
    with Raw(daemon.world.socket) as raw:
        raw.send(line)
        assert raw.kind() == "bad_request.invalid_params"


_OTHERWISE: dict[str, tuple[str, dict[str, Any], str]] = {
    "no such method": ("lease.steal", {}, "bad_request.unknown_method"),
    "a method of Python's": ("__init__", {}, "bad_request.unknown_method"),
    "an empty method": ("", {}, "bad_request.unknown_method"),
    "a second hello": ("hello", {"protocol": 1}, "bad_request.unknown_method"),
    "a name that is none": ("lease.acquire", {"secret": "OpenAI/Dev"}, "usage"),
    "a path for a name": ("secret.show", {"name": "../../etc/passwd"}, "usage"),
    "a name with a line end": ("secret.show", {"name": "openai/dev\n"}, "usage"),
    "a secret that is not there": ("secret.show", {"name": "openai/none"}, "not_found.secret"),
    "a lease that is not there": ("lease.revoke", {"lease": "x" * 60_000}, "not_found.lease"),
    "a lease of nobody": ("lease.release", {"lease": "x"}, "not_found.lease"),
    "a session of nobody": ("session.approve", {"session": "x", "secrets": []}, "not_found"),
    "no session": ("lease.acquire", {"secret": "openai/dev"}, "denied.no_session"),
    "a session's label alone": (
        "lease.acquire",
        {"secret": "openai/dev", "session": "deadbeef"},
        "denied.no_session",
    ),
    "a project that is not there": (
        "project.show",
        {"path": "/x/broker.toml"},
        "not_found.project_file",
    ),
    "a project with a relative path": ("project.show", {"path": "broker.toml"}, "usage"),
    "a project with a name too long": (
        "project.show",
        {"path": "/" + "x" * 5000 + "/y"},
        "usage.config",
    ),
    "a project with a name too long to say": (
        "project.show",
        {"path": "/" + "漢" * 15_000 + "/y"},
        "bad_request.limit",
    ),
    "a version that is no number": (
        "secret.rollback",
        {"name": "openai/dev", "version": "²"},
        "usage",
    ),
    "a version of 5000 digits": (
        "secret.rollback",
        {"name": "openai/dev", "version": "9" * 5000},
        "usage",
    ),
    "no secrets": ("session.open", {"program": "/bin/true", "env": {}}, "usage"),
    "too many secrets": (
        "session.open",
        {"program": "/bin/true", "env": {f"V{n}": "openai/dev" for n in range(65)}},
        "usage",
    ),
    "a variable that steers the loader": (
        "session.open",
        {"program": "/bin/true", "env": {"LD_PRELOAD": "openai/dev"}},
        "usage",
    ),
    "a program with a path too long": (
        "session.open",
        {"program": "/" + "x" * 60_000, "env": {"A": "openai/dev"}},
        "bad_request.invalid_params",
    ),
}


@pytest.mark.parametrize("what", _OTHERWISE)
def test_what_cannot_be_done_is_answered_with_its_own_kind(daemon: Daemon, what: str) -> None:
    method, params, kind = _OTHERWISE[what]
    with Raw(daemon.world.socket) as raw:
        raw.send(request(method, **params))
        assert raw.kind() == kind


@pytest.mark.parametrize("what", ["sk-" + "a" * 40, "sk-ant-" + "b" * 40, "0123456789abcdef" * 2])
def test_a_key_in_the_wrong_place_is_repeated_nowhere(daemon: Daemon, what: str) -> None:
    calls: list[tuple[str, dict[str, Any]]] = [
        ("lease.acquire", {"secret": what}),
        ("secret.set", {"name": what, "value": "x"}),
        ("secret.set", {"name": "openai/dev", "value": what + "\n"}),
        ("secret.set", {"name": "openai/dev", "value": what + "é"}),
        ("session.open", {"program": "/bin/true", "env": {"A": what}}),
        ("secret.show", {"name": what}),
        ("store.unlock", {"passphrase": what}),
    ]
    for method, params in calls:
        with pytest.raises(BrokerError) as refused:
            daemon.call(method, **params)
        assert what not in json.dumps(refused.value.to_wire())
    assert what not in daemon.log
    assert what not in json.dumps(daemon.world.events())
