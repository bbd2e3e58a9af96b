"""What becomes of each token, without any server."""

from __future__ import annotations

from dataclasses import replace

import pytest

from brokerd.backends.vault.login.base import Auth
from brokerd.backends.vault.tokens import Held, Tokens

AUTH = Auth("s.one", "accessor-of-one", expires_at=60.0, ttl=60.0, renewable=True)
ONE = Held(AUTH, "alice", since=0.0)
TWO = replace(ONE, auth=replace(AUTH, token="s.two", accessor="accessor-of-two"))


def renewed(at: float, ends: float | None) -> Held:
    return ONE.with_life_of(replace(AUTH, token="ignored", expires_at=ends), at)


@pytest.mark.parametrize(
    ("ends", "gained"),
    [(100.0, True), (80.0, True), (79.0, False), (60.0, False), (50.0, False), (None, True)],
)
def test_a_renewal_is_of_use_as_long_as_it_makes_up_for_half_of_what_passed(
    ends: float | None, gained: bool
) -> None:
    assert renewed(40.0, ends).gained_on(ONE) is gained


def test_a_renewed_token_is_the_same_one() -> None:
    newer = renewed(40.0, 100.0)
    assert newer.is_same(ONE)
    assert newer.auth == replace(AUTH, expires_at=100.0)
    assert newer.due_at == 80.0


def test_one_that_never_dies_is_never_due() -> None:
    endless = replace(ONE, auth=replace(AUTH, expires_at=None))
    assert endless.due_at is None
    assert not endless.is_over(1e12)


def test_one_with_hardly_any_life_is_not_asked_for_without_end() -> None:
    assert replace(ONE, auth=replace(AUTH, expires_at=0.1)).due_at == 1.0


def test_it_is_over_at_its_end_and_not_before() -> None:
    assert not ONE.is_over(59.9)
    assert ONE.is_over(60.0)


def test_the_token_before_lives_on_until_it_is_over() -> None:
    tokens = Tokens()
    assert tokens.take(ONE, 0.0)
    assert tokens.take(TWO, 1.0)
    assert tokens.current is TWO
    assert tokens.find("accessor-of-one") is ONE
    tokens.take(replace(TWO, since=60.0), 60.0)
    assert tokens.leaving == [ONE]
    assert not tokens.has_ended("accessor-of-one")
    assert tokens.lost == 0


def test_that_of_somebody_else_has_to_go() -> None:
    tokens = Tokens()
    tokens.take(ONE, 0.0)
    tokens.take(replace(TWO, basis="bob"), 1.0)
    assert tokens.leaving == [ONE]
    assert not tokens.has_ended("accessor-of-one")


@pytest.mark.parametrize("held", [ONE, TWO])
def test_one_is_lost_once_however_often_that_is_noticed(held: Held) -> None:
    tokens = Tokens()
    tokens.take(ONE, 0.0)
    tokens.take(TWO, 1.0)
    assert [tokens.lose(held) for _ in range(2)] == [True, False]
    assert tokens.lost == 1
    assert tokens.leaving == []
    assert tokens.has_ended(held.auth.accessor or "")


def test_one_that_is_to_be_revoked_is_held_until_it_is() -> None:
    tokens = Tokens()
    tokens.take(ONE, 0.0)
    for _ in range(2):
        tokens.condemn(ONE)
    assert tokens.current is None
    assert tokens.leaving == [ONE]
    assert tokens.close() == [ONE]
    assert tokens.lost == 0  # what was made under it lives on until then
    for _ in range(2):
        tokens.drop(ONE)
    assert tokens.lost == 1
    assert tokens.close() == []
    assert tokens.has_ended("accessor-of-one")


def test_a_renewal_that_comes_late_brings_no_token_back() -> None:
    tokens = Tokens()
    tokens.take(ONE, 0.0)
    tokens.lose(ONE)
    tokens.renewed(renewed(40.0, 100.0))
    assert tokens.current is None


def test_once_closed_no_token_is_taken() -> None:
    tokens = Tokens()
    tokens.take(ONE, 0.0)
    assert tokens.close() == [ONE]
    assert not tokens.take(TWO, 1.0)
    assert tokens.closed
    assert tokens.find("accessor-of-two") is None
