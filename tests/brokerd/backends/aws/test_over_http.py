"""What does a caller hear of each thing that AWS, or the network to it, does wrong? Over HTTP."""

from __future__ import annotations

import time
from functools import partial
from operator import methodcaller

import pytest

from brokerd.backends.aws import transport
from brokerd.backends.aws.pace import Pace
from brokerd.backends.aws.policies import Policies
from brokershim.errors import (
    BackendRefused,
    BackendTimeout,
    BrokerError,
    ClockSkew,
    RateLimited,
    SecretDeleted,
    ServerDown,
)
from tests.support.aws import ADMIN, REGION, Aws, role
from tests.support.aws_faults import (
    BUSY,
    CUT,
    DELETED,
    DROPPED,
    EXPIRED,
    HTML,
    INTERNAL,
    KMS_DENIED,
    NONSENSE,
    THROTTLED,
    UNDECRYPTABLE,
    UNKNOWN_KEYS,
    Fault,
    denied,
    skewed,
    slow,
)
from tests.support.aws_in_memory import Memory
from tests.support.awsed import KEY, NAME, SECRET_ID, awsed

_DENIED = denied(role("dev"), "secretsmanager:GetSecretValue", SECRET_ID)
_SKEWED = skewed("Tue, 01 Jan 2030 00:00:00 GMT", "20261123T143000Z", "20291231T235500Z")
_READ = "GetSecretValue"


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Memory()
    pace = partial(Pace, clock.sleep, clock.clock)
    monkeypatch.setattr("brokerd.backends.aws.clients.Pace", pace)
    monkeypatch.setattr("botocore.endpoint.time", clock)


@pytest.mark.parametrize(
    ("fault", "kind", "says"),
    [
        (THROTTLED, RateLimited, "asks for a pause"),
        (EXPIRED, BackendRefused, "the credentials are over"),
        (UNKNOWN_KEYS, BackendRefused, "the credentials are over"),
        (INTERNAL, ServerDown, "status 500"),
        (BUSY, ServerDown, "status 503"),
        (DELETED, SecretDeleted, "marked for deletion"),
        (KMS_DENIED, BackendRefused, "KMS does not decrypt it"),
        (UNDECRYPTABLE, BackendRefused, "KMS does not decrypt it"),
        (_DENIED, BackendRefused, "may not secretsmanager:GetSecretValue on prod/openai"),
        (_SKEWED, ClockSkew, "s behind AWS's"),
        (DROPPED, ServerDown, "breaks off"),
        (CUT, ServerDown, "breaks off"),
        (HTML, ServerDown, "status 502"),
        (NONSENSE, ServerDown, "answers what AWS does not"),
        (slow(3.0), BackendTimeout, "does not"),
    ],
    ids=lambda each: (each.code or str(each.status)) if isinstance(each, Fault) else "",
)
def test_each_fault_has_its_error_which_shows_no_key(
    aws: Aws,
    fault: Fault,
    kind: type[BrokerError],
    says: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    aws.secret(SECRET_ID, KEY)
    if fault.delay:
        monkeypatch.setattr(transport, "TOTAL_SECONDS", 0.5)
    backend, begun = awsed(aws), time.monotonic()
    aws.fail(fault.on(_READ))
    with pytest.raises(kind, match=says) as caught:
        backend.fetch(NAME)
    assert time.monotonic() - begun < 5.0
    assert caught.value.hint
    assert (caught.value.__cause__, caught.value.__context__) == (None, None)
    for secret in (KEY, *ADMIN, "token-1.of"):
        assert secret not in str(caught.value.to_wire())


@pytest.mark.parametrize("fault", [THROTTLED, EXPIRED, INTERNAL, BUSY, DROPPED, CUT, HTML])
def test_one_that_passes_is_not_even_noticed(aws: Aws, fault: Fault) -> None:
    aws.secret(SECRET_ID, KEY)
    backend = awsed(aws)
    aws.fail(fault.on(_READ).only(1))
    assert backend.fetch(NAME).value == KEY.encode()
    assert len(aws.calls(_READ)) == 2


def test_a_session_reads_no_secret_but_the_one_that_it_is_for(aws: Aws) -> None:
    for name in (SECRET_ID, "prod/other"):
        aws.secret(name, KEY)
    roles, scope = awsed(aws)._roles, Policies(REGION, scope=True).reading(["prod/other"])

    def read(name: str) -> object:
        work = methodcaller("get_secret_value", SecretId=name)
        return roles.call("secretsmanager", work, f"reading {name}", scope=scope)

    assert read("prod/other")
    with pytest.raises(BackendRefused, match="access denied"):
        read(SECRET_ID)


def test_a_secret_that_is_marked_for_deletion_is_told_from_one_that_is_not_there(aws: Aws) -> None:
    aws.secret(SECRET_ID, KEY)
    backend = awsed(aws)
    aws.delete(SECRET_ID)  # this server has other words for it than the fault above
    for look in (backend.fetch, backend.newest):
        with pytest.raises(SecretDeleted):
            look(NAME)
