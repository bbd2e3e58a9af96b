"""What key does an answer hold, and how long does it live?"""

from __future__ import annotations

from typing import Any

import pytest

from brokerd.model import BoundedBy
from brokershim.errors import ServerDown
from tests.support.federated import NAME, Federated, federated
from tests.support.provider import Answer

DAY = 24 * 3600.0


def test_a_key_dies_with_its_provider(one: Federated) -> None:
    key = one.backend.fetch(NAME)
    assert (key.bounded_by, key.upstream) == (BoundedBy.PROVIDER, None)
    assert key.value.startswith(b"sk-ant-oat01-")
    assert key.expires_at == 1000 + 3600


def test_its_life_begins_as_it_is_asked_for(one: Federated) -> None:
    """A slow answer must not make it live longer."""
    reply = one.endpoint._provider.reply

    def slow(asked: Any) -> Answer:
        one.now += 40
        return reply(asked)

    one.endpoint._provider.reply = slow
    assert one.backend.fetch(NAME).expires_at == 1000 + 3600


def test_its_version_is_new_each_time_and_says_nothing_of_it(one: Federated) -> None:
    keys = [one.backend.fetch(NAME) for _ in range(3)]
    assert len({key.version for key in keys}) == 3
    assert all(key.version.encode() not in key.value for key in keys)
    assert one.backend.describe(NAME).version == ""


@pytest.mark.parametrize(
    ("life", "refresh"),
    # Half, or 120 s before the end where that is sooner; a quarter where that leaves nothing.
    [
        (6, 1.5), (60, 15), (119, 29.75), (120, 30), (150, 37.5), (160, 40), (200, 80), (240, 120),
        (3600, 1800), (DAY, DAY / 2),
    ],
)  # fmt: skip
@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_it_is_refreshed_in_time_and_served_until_its_floor(
    one: Federated, life: float, refresh: float, share: float
) -> None:
    one.endpoint.life, one.share = life, share
    key = one.backend.fetch(NAME)
    assert key.expires_at is not None
    assert key.refresh_at is not None
    assert key.refresh_at == pytest.approx(1000 + refresh * (1 - 0.2 * share))
    assert 1000 < key.refresh_at <= 1000 + life / 2 < key.expires_at - key.floor
    assert key.floor == min(30, life / 4)


def test_where_the_provider_advises_nothing_it_is_half_its_life() -> None:
    with federated("openai") as parts:
        parts.endpoint.life, parts.share = 60, 0.0
        assert parts.backend.fetch(NAME).refresh_at == pytest.approx(1030)


@pytest.mark.parametrize("seconds", [DAY + 1, 1e300, 10**400, float("inf")])
def test_an_absurd_life_is_a_day(one: Federated, seconds: float) -> None:
    one.endpoint.extra["expires_in"] = seconds
    assert one.backend.fetch(NAME).expires_at == 1000 + DAY


@pytest.mark.parametrize("seconds", [0, -1, 4.9, float("nan"), float("-inf")])
def test_a_key_that_is_over_already_is_none(one: Federated, seconds: float) -> None:
    one.endpoint.extra["expires_in"] = seconds
    with pytest.raises(ServerDown, match="over already"):
        one.backend.fetch(NAME)


@pytest.mark.parametrize("seconds", [None, "3600", True, [], {"a": 1}])
def test_a_key_without_a_life_is_none(one: Federated, seconds: object) -> None:
    one.endpoint.extra["expires_in"] = seconds
    with pytest.raises(ServerDown, match="does not say how long") as caught:
        one.backend.fetch(NAME)
    assert "die by itself" in caught.value.hint


def test_a_token_that_fits_no_header_is_none(one: Federated) -> None:
    """It would be kept for all its life, and every reply that holds it be too long to send."""
    one.endpoint.extra["access_token"] = "a" * 16385
    with pytest.raises(ServerDown, match="more than 16384 bytes"):
        one.backend.fetch(NAME)


@pytest.mark.parametrize("value", [None, "", "a b", "a\r\nx-evil: 1", "ü", 7, "\0", ["a"]])
def test_what_no_header_can_hold_is_no_key(one: Federated, value: object) -> None:
    one.endpoint.extra["access_token"] = value
    with pytest.raises(ServerDown, match="answers no token"):
        one.backend.fetch(NAME)


@pytest.mark.parametrize(("kind", "good"), [("bearer", 1), ("BEARER", 1), (None, 1), ("DPoP", 0)])
def test_only_a_bearer_token_can_be_shown(one: Federated, kind: str | None, good: int) -> None:
    one.endpoint.extra["token_type"] = kind
    if good:
        assert one.backend.fetch(NAME).value
        return
    with pytest.raises(ServerDown, match="no bearer token"):
        one.backend.fetch(NAME)


def test_a_key_of_openrouter_dies_with_the_identitys_token() -> None:
    with federated("openrouter") as parts:
        parts.endpoint.extra["expires_in"] = 900
        parts.identity.life = 200
        assert parts.backend.fetch(NAME).expires_at == 1200
        parts.identity.life = 2000
        parts.endpoint.extra["expires_in"] = 5000
        assert parts.backend.fetch(NAME).expires_at == 1900
