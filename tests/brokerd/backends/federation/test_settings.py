"""What may stand in the tables of this backend, and what is refused?"""

from __future__ import annotations

import re
import textwrap
import tomllib
from collections.abc import Iterator
from typing import Any

import pytest

from brokerd.backends.federation.backend import build
from brokerd.backends.federation.formats import FORMATS
from brokerd.config import parse
from brokerd.kinds import build_backends
from brokerd.model import BoundedBy, Delivery, Secret
from brokerd.table import Table
from brokershim.errors import ConfigError
from tests.support.daemon import REPOSITORY
from tests.support.federated import SETTINGS
from tests.support.jwks import Issuer
from tests.support.signing_identity import SigningIdentity

NAME = "anthropic/team"
GENERAL = {"token_endpoint": "https://gateway.example/token", "hosts": ["gateway.example"]}


@pytest.fixture(scope="module")
def identity() -> Iterator[SigningIdentity]:
    with Issuer() as issuer:
        yield SigningIdentity(issuer)


def _built(
    identity: SigningIdentity, values: dict[str, Any], secret: dict[str, Any] | None = None
) -> Secret:
    """Return how a secret is described, once nothing in the tables is left over."""
    table = Table("config.toml", "backend.x", {"identity": "work", **values})
    own = Table("config.toml", f'secret."{NAME}"', secret or {})
    found = build("x", table, {NAME: own}, {"work": identity})
    table.finish()
    own.finish()
    return found.describe(NAME)


def test_a_provider_that_is_known_needs_little(identity: SigningIdentity) -> None:
    assert _built(identity, {"provider": "anthropic", **SETTINGS["anthropic"]}) == Secret(
        NAME,
        "anthropic",
        ("api.anthropic.com",),
        "x",
        900.0,
        "",
        BoundedBy.PROVIDER,
        Delivery(bearer=True, headers={"anthropic-beta": "oauth-2025-04-20"}),
    )


@pytest.mark.parametrize(
    ("provider", "host"), [("openai", "api.openai.com"), ("openrouter", "openrouter.ai")]
)
def test_each_goes_to_its_own_hosts(identity: SigningIdentity, provider: str, host: str) -> None:
    found = _built(identity, {"provider": provider, **SETTINGS[provider]})
    assert (found.provider, found.hosts) == (provider, (host,))
    assert found.delivery == Delivery(bearer=True)


def test_a_general_one_says_where(identity: SigningIdentity) -> None:
    found = _built(identity, {"provider": "rfc8693", **GENERAL})
    assert (found.provider, found.hosts) == ("", ("gateway.example",))
    assert found.delivery == Delivery(bearer=True)


def test_a_general_one_may_leave_the_key_where_the_app_puts_it(identity: SigningIdentity) -> None:
    more = {"provider": "rfc7523", "delivery": "in-place", **GENERAL}
    assert _built(identity, more).delivery == Delivery()


def test_a_secret_may_have_hosts_and_a_life_of_its_own(identity: SigningIdentity) -> None:
    own = {"hosts": ["API.example:8443"], "max_ttl": "5m"}
    found = _built(identity, {"provider": "rfc8693", **GENERAL}, own)
    assert (found.hosts, found.max_ttl) == (("api.example:8443",), 300.0)


@pytest.mark.parametrize(
    ("values", "fault"),
    [
        ({}, "provider is missing"),
        ({"provider": "gemini"}, "provider is none of"),
        ({"provider": "anthropic"}, "federation_rule_id is missing"),
        ({"provider": "openai", "identity_provider_id": "i"}, "service_account_id is missing"),
        ({"provider": "openrouter"}, "federation_policy_id is missing"),
        ({"provider": "rfc8693"}, "token_endpoint is missing"),
        ({"provider": "rfc8693", **GENERAL, "hosts": []}, "hosts is missing"),
        ({"provider": "rfc8693", **GENERAL, "hosts": ["https://a/"]}, "hosts"),
        ({"provider": "rfc8693", **GENERAL, "token_endpoint": "http://a.example/"}, "not https"),
        ({"provider": "rfc8693", **GENERAL, "subject_token_type": "saml2"}, "none of"),
        ({"provider": "rfc8693", **GENERAL, "delivery": "cookie"}, "none of"),
        ({"provider": "rfc8693", **GENERAL, "jti_reuse": "yes"}, "neither true nor false"),
        ({"provider": "rfc7523", **GENERAL, "subject_token_type": "jwt"}, "unknown key"),
        ({"provider": "rfc7523", **GENERAL, "identity": "nobody"}, "no identity nobody"),
        ({"provider": "openai", **SETTINGS["openai"], "scope": "x"}, "unknown key"),
        ({"provider": "openai", **SETTINGS["openai"], "delivery": "bearer"}, "unknown key"),
        ({"provider": "anthropic", **SETTINGS["anthropic"], "scope": "x"}, "unknown key"),
        ({"provider": "anthropic", **SETTINGS["anthropic"], "token_endpoint": "x"}, "not a URL"),
    ],
)
def test_what_is_wrong_is_named(
    identity: SigningIdentity, values: dict[str, Any], fault: str
) -> None:
    with pytest.raises(ConfigError, match=fault) as caught:
        _built(identity, values)
    assert caught.value.message.startswith("config.toml: ")


def test_a_scope_where_there_is_none_is_refused(identity: SigningIdentity) -> None:
    with pytest.raises(ConfigError, match="unknown key"):
        _built(identity, {"provider": "openai", **SETTINGS["openai"]}, {"scope": "chat"})


def test_it_is_built_from_config_toml(identity: SigningIdentity) -> None:
    document = {
        "backend": {
            "team": {
                "kind": "federation",
                "provider": "anthropic",
                "identity": "work",
                **SETTINGS["anthropic"],
            }
        },
        "secret": {NAME: {"backend": "team", "max_ttl": "10m"}},
    }
    backends = build_backends(parse("config.toml", document), {"work": identity})
    found = backends["team"].describe(NAME)
    assert (found.backend, found.max_ttl) == ("team", 600.0)


def test_the_examples_of_the_manual_are_accepted(identity: SigningIdentity) -> None:
    manual = (REPOSITORY / "docs" / "federation.md").read_text()
    blocks = [
        each for each in re.findall(r"(?:^    .*\n)+", manual, re.MULTILINE) if "provider =" in each
    ]
    examples = [tomllib.loads(textwrap.dedent(each)) for each in blocks]
    assert {each.get("provider") for each in examples[1:]} == FORMATS.keys() - {"rfc7523"}
    first = {**examples[0], "identity": {}}
    assert build_backends(parse("config.toml", first), {"work": identity})
    for example in examples[1:]:
        assert _built(identity, example).hosts
