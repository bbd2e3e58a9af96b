"""What servers say of tokens, and what no server should."""

from __future__ import annotations

from typing import Any

import pytest

from brokerd.backends.vault.login.auth import auth_of, looked_up
from brokerd.backends.vault.login.base import Auth
from brokershim.errors import ServerDown

LOGIN: dict[str, Any] = {
    "client_token": "s.token",
    "accessor": "an-accessor",
    "policies": ["default", "dev"],
    "lease_duration": 60,
    "renewable": True,
}
LOOKUP: dict[str, Any] = {
    "accessor": "an-accessor",
    "policies": ["default"],
    "ttl": 30,
    "creation_ttl": 60,
    "expire_time": "2026-11-23T13:43:09Z",
    "renewable": True,
}


def test_a_login_brings_a_token_of_ours() -> None:
    assert auth_of({"auth": LOGIN}, 1000.0) == Auth(
        "s.token", "an-accessor", 1060.0, 60.0, True, ("default", "dev")
    )


def test_a_lookup_tells_what_is_left_and_what_it_was_given() -> None:
    assert looked_up({"data": LOOKUP}, "s.token", 1000.0) == Auth(
        "s.token", "an-accessor", 1030.0, 60.0, True, ("default",), ours=False
    )


def test_a_periodic_one_is_renewed_by_its_period() -> None:
    assert looked_up({"data": {**LOOKUP, "period": 90}}, "s.token", 0.0).ttl == 90


@pytest.mark.parametrize(("expire_time", "ends"), [(None, None), ("2026-11-23T13:43:09Z", 1000.0)])
def test_none_left_is_no_end_only_where_the_server_says_so(
    expire_time: str | None, ends: float | None
) -> None:
    found = looked_up({"data": {**LOOKUP, "ttl": 0, "expire_time": expire_time}}, "s.token", 1000.0)
    assert found.expires_at == ends


def test_an_empty_accessor_is_none() -> None:
    assert auth_of({"auth": {**LOGIN, "accessor": ""}}, 0.0).accessor is None


@pytest.mark.parametrize(
    "answer",
    [
        None,
        [],
        {},
        {"auth": None},
        {"auth": {**LOGIN, "client_token": ""}},
        {"auth": {**LOGIN, "client_token": 7}},
        {"auth": {**LOGIN, "accessor": 7}},
        {"auth": {**LOGIN, "lease_duration": "60"}},
        {"auth": {**LOGIN, "lease_duration": None}},
        {"auth": {"client_token": "s.token", "accessor": "a"}},
        {"auth": {**LOGIN, "lease_duration": True}},
        {"auth": {**LOGIN, "lease_duration": -1}},
    ],
)
def test_what_no_vault_answers_is_no_login(answer: object) -> None:
    with pytest.raises(ServerDown, match="as no Vault does") as refused:
        auth_of(answer, 0.0)
    assert "s.token" not in refused.value.message


@pytest.mark.parametrize("answer", [{}, {"data": {}}, {"data": {**LOOKUP, "ttl": None}}])
def test_nor_is_it_a_lookup(answer: object) -> None:
    with pytest.raises(ServerDown, match="as no Vault does"):
        looked_up(answer, "s.token", 0.0)
