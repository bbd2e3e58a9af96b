"""A lease as the daemon's replies describe it."""

from __future__ import annotations

from typing import Any

import pytest

from brokershim.delivery import Delivery
from brokershim.errors import BackendUnavailable, MalformedRequest
from brokershim.held import Held, held
from tests.brokershim.conftest import KEY

REPLY = {
    "lease": "lease-1",
    "value": KEY,
    "hosts": ["api.openai.com"],
    "version": "3",
    "expires_in": 300.0,
    "floor": 30.0,
}


DELIVERY = {"bearer": True, "headers": {"anthropic-beta": "oauth-2025-04-20"}}


def lease(**changes: Any) -> Held:
    return held("openai/dev", {**REPLY, **changes}, 1000.0)


def test_life_counts_from_when_it_was_asked_for() -> None:
    one = lease()
    assert (one.deadline, one.floor, one.renew_at) == (1300.0, 30.0, 1200.0)
    assert one.may_begin(1270.0)
    assert not one.may_begin(1270.1)


def test_renewal_is_never_later_than_the_floor_allows() -> None:
    assert lease(floor=250.0).renew_at == 1050.0


def test_repr_shows_no_key() -> None:
    assert KEY not in repr(lease())
    assert KEY not in repr(lease().scrubber)


@pytest.mark.parametrize("field", sorted(REPLY))
def test_reply_that_lacks_a_field_is_refused_and_emptied(field: str) -> None:
    for reply in (
        {key: value for key, value in REPLY.items() if key != field},
        {**REPLY, field: None},
    ):
        with pytest.raises(MalformedRequest):
            held("openai/dev", reply, 0.0)
        assert reply == {}, "the traceback would show it"


@pytest.mark.parametrize("value", ["", "a b", "a\nb", "a\r\nx-evil: 1", "é", "a\x7f", "\t"])
def test_key_that_a_header_cannot_carry_is_refused_and_not_shown(value: str) -> None:
    reply = {**REPLY, "value": value}
    with pytest.raises(BackendUnavailable, match="openai/dev") as refused:
        held("openai/dev", reply, 0.0)
    assert reply == {}
    assert "secret set openai/dev" in refused.value.hint


def test_renewed_lease_has_the_new_term_and_the_same_key() -> None:
    renewed = lease().renewed({"version": "3", "expires_in": 60, "floor": 5}, 2000.0)
    assert renewed is not None
    assert (renewed.value, renewed.deadline, renewed.renew_at) == (KEY, 2060.0, 2040.0)


def test_renewed_lease_of_another_version_has_another_key() -> None:
    assert lease().renewed({"version": "4", "expires_in": 60, "floor": 5}, 2000.0) is None


def test_renewal_that_lacks_its_term_is_refused() -> None:
    with pytest.raises(MalformedRequest):
        lease().renewed({"version": "3", "expires_in": "60", "floor": 5}, 2000.0)


def test_daemon_that_says_nothing_of_delivery_is_an_older_one() -> None:
    assert lease().delivery == Delivery(bearer=False, headers=())


def test_delivery_is_kept_over_a_renewal() -> None:
    one = lease(delivery=DELIVERY)
    assert one.delivery == Delivery(True, ((b"anthropic-beta", b"oauth-2025-04-20"),))
    renewed = one.renewed({"version": "3", "expires_in": 60, "floor": 5}, 2000.0)
    assert renewed is not None
    assert renewed.delivery == one.delivery


def test_delivery_that_is_refused_empties_the_reply() -> None:
    reply = {**REPLY, "delivery": {"bearer": 1, "headers": {}}}
    with pytest.raises(MalformedRequest):
        held("openai/dev", reply, 0.0)
    assert reply == {}
