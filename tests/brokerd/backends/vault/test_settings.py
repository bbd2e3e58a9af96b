"""What may stand in the tables of a Vault and its secrets, and what is refused?"""

from __future__ import annotations

from typing import Any

import pytest

from brokerd.backends.base import is_tended, is_watched, mints
from brokerd.backends.people import has_account, is_checked, is_enrolled
from brokerd.backends.vault.backend import LOGINS, VaultBackend, build
from brokerd.backends.vault.terms import DynamicTerms, KvTerms
from brokerd.config import parse
from brokerd.kinds import build_backends
from brokerd.model import BoundedBy, Secret
from brokerd.table import Table
from brokershim.errors import ConfigError, SecretNotFound
from tests.support.vaulted import read

NAME = "openai/dev"
KV = {"mount": "secret", "path": "llm/openai", "field": "key"}
DYNAMIC = {"engine": "dynamic", "path": "database/creds/llm", "field": "password"}
BACKEND = {"address": "https://vault.example", "login": "token"}


def _built(values: dict[str, Any], secret: dict[str, Any]) -> VaultBackend:
    """Build a backend, and let nothing in the tables be left over."""
    table = Table("config.toml", "backend.corp", values)
    own = Table("config.toml", f'secret."{NAME}"', secret)
    found = build("corp", table, {NAME: own}, {})
    table.finish()
    own.finish()
    return found


def test_a_static_key_needs_little() -> None:
    backend = _built(BACKEND, KV)
    assert backend.describe(NAME) == Secret(
        NAME, "openai", ("api.openai.com",), "corp", 900.0, "", BoundedBy.BROKER
    )
    assert backend.key_of(NAME) == ("secret", "llm/openai", "key", None, 900.0)
    assert not backend.makes(NAME)
    assert backend.watch_seconds == 30.0


def test_what_differs_has_another_key() -> None:
    keys = {
        _built(BACKEND, {**KV, **more}).key_of(NAME)
        for more in ({}, {"mount": "kv"}, {"path": "x"}, {"field": "y"}, {"version": 1})
    }
    assert len(keys) == 5


def test_a_secret_may_say_more() -> None:
    own = {"hosts": ["API.example:8443"], "max_ttl": "5m", "version": 3, "max_staleness": "2m"}
    found = read(NAME, **{**KV, **own})
    assert isinstance(found, KvTerms)
    assert (found.version, found.max_staleness) == (3, 120.0)
    assert (found.secret.hosts, found.secret.max_ttl) == (("api.example:8443",), 300.0)


def test_a_key_is_made_as_its_table_says() -> None:
    parameters = {"common_name": "x", "ttl": 60, "exclude_cn_from_sans": True}
    found = read("db/dev", **DYNAMIC, method="write", parameters=parameters)
    assert isinstance(found, DynamicTerms)
    assert (found.path, found.method, found.field) == ("database/creds/llm", "write", "password")
    assert found.parameters == parameters
    assert (found.secret.provider, found.secret.bounded_by) == ("", BoundedBy.BACKEND)
    reading = read("db/dev", **DYNAMIC)
    assert isinstance(reading, DynamicTerms)
    assert (reading.method, reading.parameters) == ("read", {})


def test_the_backend_says_how_long_its_keys_are_served_unheard() -> None:
    backend = _built({**BACKEND, "watch": "5s", "max_staleness": "1m"}, KV)
    found = backend._terms[NAME]
    assert isinstance(found, KvTerms)
    assert (backend.watch_seconds, found.max_staleness) == (5.0, 60.0)


@pytest.mark.parametrize(
    ("values", "fault"),
    [
        ({"mount": "secret"}, "path is missing"),
        ({"path": "x", "field": "y"}, "mount is missing"),
        ({"mount": "secret", "path": "x"}, "field is missing"),
        ({**KV, "path": "secret/data/llm/openai"}, "path is one of the HTTP API"),
        ({**KV, "path": "/llm/openai"}, "path is no path"),
        ({**KV, "path": "llm/openai/"}, "path is no path"),
        ({**KV, "path": "llm/../root"}, "path is no path"),
        ({**KV, "path": "./llm"}, "path is no path"),
        ({**KV, "path": " llm"}, "path is no path"),
        ({**KV, "mount": "a//b"}, "mount is no path"),
        ({**KV, "version": 0}, "version is not a whole number"),
        ({**KV, "version": "3"}, "version is not a whole number"),
        ({**KV, "version": True}, "version is not a whole number"),
        ({**KV, "engine": "pki"}, "engine is none of"),
        ({**KV, "provider": "nobody"}, "provider is none that is known"),
        ({**KV, "provider": "azure"}, "hosts is missing"),
        ({**KV, "max_staleness": "59s"}, "below twice"),
        ({**KV, "method": "read"}, "unknown key"),
        ({**KV, "parameters": {}}, "unknown key"),
        ({**KV, "scope": "x"}, "unknown key"),
        ({**DYNAMIC, "path": "auth/token/create"}, "no secrets engine"),
        ({**DYNAMIC, "path": "sys/wrapping/random"}, "no secrets engine"),
        ({**DYNAMIC, "method": "list"}, "method is none of"),
        ({**DYNAMIC, "parameters": "x"}, "parameters is not a table"),
        ({**DYNAMIC, "parameters": {"a": [1]}}, "parameters holds what is neither"),
        ({**DYNAMIC, "parameters": {"a": 1.5}}, "parameters holds what is neither"),
        ({**DYNAMIC, "mount": "database"}, "unknown key"),
        ({**DYNAMIC, "version": 1}, "unknown key"),
        ({**DYNAMIC, "max_staleness": "1h"}, "unknown key"),
    ],
)
def test_what_is_wrong_with_a_secret_is_named(values: dict[str, Any], fault: str) -> None:
    with pytest.raises(ConfigError, match=fault) as caught:
        _built(BACKEND, values)
    assert "config.toml: " in caught.value.message


def test_a_misspelt_engine_shows_as_a_missing_mount() -> None:
    with pytest.raises(ConfigError) as caught:
        _built(BACKEND, {"engin": "dynamic", "path": "x", "field": "y"})
    assert 'engine = "dynamic"' in caught.value.hint


@pytest.mark.parametrize(
    ("values", "fault"),
    [
        ({"login": "token"}, "address"),
        ({"address": "https://vault.example"}, "login is missing"),
        ({**BACKEND, "login": "ldap"}, "login is none of"),
        ({"address": "http://[::1]", "login": "cert", "cert_file": "/c"}, "is not https"),
        ({**BACKEND, "watch": "0s"}, "watch is not a duration"),
        ({**BACKEND, "watch": "10m"}, "below twice"),
        ({**BACKEND, "max_staleness": "never"}, "max_staleness is not a duration"),
        ({**BACKEND, "token": "s.1234"}, "unknown key"),
    ],
)
def test_what_is_wrong_with_the_backend_is_named(values: dict[str, Any], fault: str) -> None:
    with pytest.raises(ConfigError, match=fault):
        _built(values, KV)


def test_a_key_that_is_made_is_never_stale() -> None:
    assert _built({**BACKEND, "watch": "10m"}, {**DYNAMIC, "hosts": ["a"]}).makes(NAME)


def test_it_can_do_all_that_a_backend_may() -> None:
    backend = _built(BACKEND, KV)
    assert (backend.wants, backend.account, backend.due_at()) == ("token", None, None)
    for can in (mints, is_watched, is_tended, is_checked, is_enrolled):
        assert can(backend), can
    assert not has_account(backend)
    file = _built({**BACKEND, "token_file": "/home/me/token"}, KV)
    assert not is_enrolled(file)


def test_a_person_logs_in_to_the_backend_itself() -> None:
    backend = _built({**BACKEND, "login": "oidc"}, KV)
    assert has_account(backend)
    assert backend.account.name == "corp"
    assert not is_enrolled(backend)


def test_a_name_that_it_does_not_have_is_not_found() -> None:
    backend = _built(BACKEND, KV)
    for look in (backend.describe, backend.fetch, backend.newest):
        with pytest.raises(SecretNotFound, match="nobody/knows-this"):
            look("nobody/knows-this")
    assert backend.prepare(NAME) is None


def test_every_login_has_its_module() -> None:
    assert set(LOGINS) == {"jwt", "oidc", "approle", "cert", "kubernetes", "token"}


def test_it_is_built_from_config_toml() -> None:
    document = {
        "backend": {"corp": {"kind": "vault", **BACKEND}},
        "secret": {NAME: {"backend": "corp", **KV, "max_ttl": "10m"}},
    }
    found = build_backends(parse("config.toml", document), {})["corp"].describe(NAME)
    assert (found.backend, found.max_ttl) == ("corp", 600.0)
