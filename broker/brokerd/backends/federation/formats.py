"""How does each provider want to be asked for a token, and to be shown it? (Data.)

Sources: RFC 8693 (token exchange), RFC 7523 (a JWT as a grant), RFC 8707 (``resource``), the
workload identity references of Anthropic, OpenAI and OpenRouter, and the first two's own SDKs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from brokerd.model import Delivery

DAY = 24 * 3600.0
TOKEN_TYPE = "urn:ietf:params:oauth:token-type:"  # noqa: S105 - RFC 8693, section 3
_JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_TOKEN_EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"  # noqa: S105
_OAUTH = "oauth-2025-04-20"
_BEARER = Delivery(bearer=True)


@dataclass(frozen=True)
class Format:
    """One provider's exchange.

    Attributes:
        grant: Its ``grant_type``.
        assertion: The field that holds the identity's token.
        required: Keys of the configuration that are fields of the same name.
        optional: Likewise, where they are given.
        token_types: What ``subject_token_type`` may be; the first where none is given. Empty
            where there is no such field.
        provider: Its name in `brokerd.providers`; empty for servers of any make.
        endpoint: Where it is asked; None where only the configuration knows.
        audience: The audience that its tokens are asked for; None for the endpoint itself (RFC
            7523, section 3).
        as_json: Whether it is sent a JSON object; otherwise a form.
        headers: Headers that the request must have.
        longest: Seconds that no token of it lives beyond, whatever it says.
        margin: Seconds before its token's end at which its own SDK has a newer one at the latest; 0
            where half a life is sooner anyway.
        within_assertion: Whether its token dies with the identity's, if not before.
        delivery: How its token stands in a request.
    """

    grant: str
    assertion: str
    required: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    token_types: tuple[str, ...] = ()
    provider: str = ""
    endpoint: str | None = None
    audience: str | None = None
    as_json: bool = False
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    longest: float = DAY
    margin: float = 0.0
    within_assertion: bool = False
    delivery: Delivery = _BEARER


FORMATS: dict[str, Format] = {
    "anthropic": Format(
        _JWT_BEARER,
        "assertion",
        required=("federation_rule_id", "organization_id"),
        optional=("service_account_id", "workspace_id"),
        provider="anthropic",
        endpoint="https://api.anthropic.com/v1/oauth/token",
        audience="https://api.anthropic.com",
        as_json=True,
        headers={"anthropic-beta": f"{_OAUTH},oidc-federation-2026-04-01"},
        margin=120.0,
        delivery=Delivery(bearer=True, headers={"anthropic-beta": _OAUTH}),
    ),
    "openai": Format(
        _TOKEN_EXCHANGE,
        "subject_token",
        required=("identity_provider_id", "service_account_id"),
        token_types=("jwt", "id_token"),
        provider="openai",
        endpoint="https://auth.openai.com/oauth/token",
        audience="https://api.openai.com/v1",
        as_json=True,
    ),
    "openrouter": Format(
        _TOKEN_EXCHANGE,
        "subject_token",
        required=("federation_policy_id",),
        optional=("scope",),
        token_types=("jwt",),
        provider="openrouter",
        endpoint="https://openrouter.ai/api/v1/oauth/token",
        audience="https://openrouter.ai",
        longest=15 * 60,
        within_assertion=True,
    ),
    "rfc8693": Format(
        _TOKEN_EXCHANGE,
        "subject_token",
        optional=("scope", "resource", "client_id", "requested_token_type"),
        token_types=("jwt", "id_token", "access_token"),
    ),
    "rfc7523": Format(
        _JWT_BEARER,
        "assertion",
        optional=("scope", "resource", "client_id"),
    ),
}
