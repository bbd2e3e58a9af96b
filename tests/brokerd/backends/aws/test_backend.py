"""What a backend's table says of it, and what it is beside a place where keys come from."""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain, repeat
from operator import methodcaller
from types import SimpleNamespace
from typing import Any

import pytest

from brokerd.backends.aws import transport
from brokerd.backends.aws.backend import AwsBackend
from brokerd.backends.base import is_watched, rotates
from brokerd.backends.people import has_account, is_checked
from brokershim.errors import BackendRefused, BackendTimeout, ConfigError, SecretNotFound
from tests.support.aws import Aws, role
from tests.support.awsed import NAME, SECRET_ID, Worker, awsed
from tests.support.backends import WHOM

MADE = "bedrock/dev"
STS = {"engine": "sts", "role_arn": role("bedrock")}
CALLS = ("GetSecretValue", "AssumeRoleWithWebIdentity")


def test_it_is_all_that_it_can_be(aws: Aws) -> None:
    backend = awsed(aws)
    assert is_watched(backend)
    assert rotates(backend)
    assert is_checked(backend)
    assert not has_account(backend)  # an identity is logged in to, and not this


def test_how_often_it_is_looked_at(aws: Aws) -> None:
    assert awsed(aws).watch_seconds == 60.0
    assert awsed(aws, watch="10s").watch_seconds == 10.0


def test_whoever_logs_in_elsewhere_changes_its_revision(aws: Aws) -> None:
    worker = Worker()
    backend = awsed(aws, worker=worker)
    before = backend.revision()
    worker.login += 1
    assert backend.revision() != before


def test_nothing_is_asked_before_a_key_is_wanted(aws: Aws) -> None:
    backend = awsed(aws)
    backend.describe(NAME)
    backend.key_of(NAME)
    backend.revision()
    assert aws.calls(*CALLS) == []


@pytest.mark.parametrize(
    "ask",
    [
        methodcaller("fetch", NAME),
        methodcaller("newest", NAME),
        methodcaller("make", MADE, None, WHOM),
        methodcaller("rotate", NAME),
        methodcaller("has_rotated", NAME, "a-version"),
        methodcaller("check"),
    ],
    ids=["fetch", "newest", "make", "rotate", "has_rotated", "check"],
)
def test_all_that_one_question_leads_to_has_one_deadline(
    aws: Aws, monkeypatch: pytest.MonkeyPatch, ask: Callable[[AwsBackend], object]
) -> None:
    backend = awsed(aws, {NAME: {"secret_id": SECRET_ID}, MADE: STS})
    times = chain([0.0], repeat(100.0))  # as it is asked, and ever after
    monkeypatch.setattr(transport, "time", SimpleNamespace(monotonic=lambda: next(times)))
    with pytest.raises(BackendTimeout, match="does not serve in 35 s"):
        ask(backend)
    assert aws.calls() == []


def test_two_names_of_one_key_share_it(aws: Aws) -> None:
    backend = awsed(aws, {name: {"secret_id": SECRET_ID} for name in ("a/a", "b/b")})
    assert backend.key_of("a/a") == backend.key_of("b/b")
    other = awsed(aws, {"a/a": {"secret_id": SECRET_ID}, "b/b": STS})
    assert other.key_of("b/b") == "b/b"


@pytest.mark.parametrize(("secret", "more"), [({"max_staleness": "1m"}, {}), ({}, {"watch": "8m"})])
def test_what_would_always_be_stale_is_refused(
    aws: Aws, secret: dict[str, str], more: dict[str, Any]
) -> None:
    with pytest.raises(ConfigError, match="below twice"):
        awsed(aws, {NAME: {"secret_id": SECRET_ID, **secret}}, **more)


@pytest.mark.parametrize("more", [{}, {"login": "instance"}, {"roles": [role("hub")]}])
def test_a_roles_role_is_had_for_an_hour_at_most(aws: Aws, more: dict[str, Any]) -> None:
    assert awsed(aws, {MADE: {**STS, "duration": "1h"}}, **more).makes(MADE)
    with pytest.raises(ConfigError, match="over 1h"):
        awsed(aws, {MADE: {**STS, "duration": "61m"}}, **more)


def test_a_users_role_may_be_had_for_longer(aws: Aws) -> None:
    profile: dict[str, Any] = {"login": "profile", "profile": "dev"}
    assert awsed(aws, {MADE: {**STS, "duration": "12h"}}, **profile).makes(MADE)
    with pytest.raises(ConfigError, match="over 1h"):
        awsed(aws, {MADE: {**STS, "duration": "12h"}}, **profile, roles=[role("hub")])


def test_what_is_made_for_a_lease_is_not_rotated_or_watched(aws: Aws) -> None:
    backend = awsed(aws, {MADE: STS})
    assert backend.newest(MADE) == ""
    for call in (backend.rotate, lambda name: backend.has_rotated(name, "1")):
        with pytest.raises(BackendRefused, match="anew for each lease"):
            call(MADE)


def test_a_name_that_it_does_not_have(aws: Aws) -> None:
    backend = awsed(aws)
    for call in (backend.newest, backend.rotate, backend.fetch, backend.describe):
        with pytest.raises(SecretNotFound):
            call("nobody/knows")
