"""What may stand in the table of an OpenID provider."""

from __future__ import annotations

from typing import Any

import pytest

from brokerd import config, kinds
from brokerd.identities.oidc import settings
from brokerd.table import Table
from brokershim.errors import ConfigError


def read(**values: Any) -> settings.Settings:
    usual = {"issuer": "https://id.example", "client_id": "brokerctl"}
    whole = {key: value for key, value in {**usual, **values}.items() if value is not None}
    return settings.read("work", Table("config.toml", "identity.work", whole))


def test_two_keys_are_enough() -> None:
    found = read()
    assert (found.name, found.issuer, found.client_id) == (
        "work", "https://id.example", "brokerctl",
    )  # fmt: skip
    assert found.keep == "keyring"
    assert found.wanted(None) == ("openid", "email", "offline_access")


def test_scopes_that_are_named_are_asked_for_whatever_is_offered() -> None:
    found = read(scopes=["openid", "groups"])
    assert found.wanted(frozenset({"openid"})) == ("openid", "groups")


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"issuer": None}, "issuer is missing"),
        ({"client_id": None}, "client_id is missing"),
        ({"issuer": "http://id.example"}, "not https"),
        ({"issuer": "https://id.example?a=b"}, "query"),
        ({"issuer": "https://me@id.example"}, "issuer"),
        ({"issuer": "id.example"}, "issuer"),
        ({"keep": "file"}, "keep"),
        ({"scopes": ["profile"]}, "openid"),
        ({"scopes": ["openid", "a b"]}, "no scope"),
        ({"scopes": "openid"}, "scopes"),
        ({"resources": ["vault"]}, "absolute URI"),
        ({"resources": ["https://a.example#b"]}, "absolute URI"),
    ],
)
def test_what_means_nothing_is_refused(values: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        read(**values)


def test_a_client_secret_is_refused_with_what_to_do_instead() -> None:
    with pytest.raises(ConfigError, match="client_secret") as caught:
        read(client_secret="sk-of-everyone")
    assert "public client" in caught.value.hint
    assert "sk-of-everyone" not in caught.value.message + caught.value.hint


def test_the_daemon_finds_it_by_its_kind() -> None:
    table = {"kind": "oidc", "issuer": "https://id.example", "client_id": "brokerctl"}
    found = kinds.build_identities(config.parse("config.toml", {"identity": {"work": table}}))
    assert (found["work"].name, found["work"].kind) == ("work", "oidc")
    wrong = {"identity": {"work": {**table, "audience": "x"}}}
    with pytest.raises(ConfigError, match="unknown key identity") as caught:
        kinds.build_identities(config.parse("config.toml", wrong))
    assert caught.value.message.endswith("identity.work.audience")
