"""What does each vendor's reference say of its token endpoint? (Data.)

Written from the references, apart from the broker's own description of the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
JWT = "urn:ietf:params:oauth:token-type:jwt"
ID_TOKEN = "urn:ietf:params:oauth:token-type:id_token"
OAUTH_BETA = "oauth-2025-04-20"
FEDERATION_BETA = "oidc-federation-2026-04-01"


@dataclass(frozen=True)
class Rules:
    """What one vendor's reference says.

    Attributes:
        path: Of its token endpoint.
        audience: That its tokens are for.
        assertion: The field of the identity's token.
        required: Fields, each with what it may be.
        optional: Likewise.
        as_json: Whether it takes a JSON object; otherwise a form.
        betas: What the header anthropic-beta must name.
        longest: Seconds that its tokens live at most.
        within: Whether they live no longer than the identity's token.
        shape: Makes the body of a refusal from a code and words.
        prefix: Of its tokens.
    """

    path: str
    audience: str
    assertion: str
    required: Mapping[str, tuple[str, ...]]
    optional: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    as_json: bool = False
    betas: tuple[str, ...] = ()
    longest: float = 3600.0
    within: bool = False
    prefix: str = "at-"
    shape: Callable[[str, str], dict[str, Any]] = lambda code, words: {
        "error": code,
        "error_description": words,
    }


RULES = {
    "anthropic": Rules(
        "/v1/oauth/token",
        "https://api.anthropic.com",
        "assertion",
        {
            "grant_type": (JWT_BEARER,),
            "federation_rule_id": ("fdrl_1",),
            "organization_id": ("8d2e6f0a-0000-4000-8000-000000000001",),
        },
        {"service_account_id": ("svac_1",), "workspace_id": ("wrkspc_1", "default")},
        as_json=True,
        betas=(OAUTH_BETA, FEDERATION_BETA),
        prefix="sk-ant-oat01-",
        shape=lambda code, words: {"type": "error", "error": {"type": code, "message": words}},
    ),
    "openai": Rules(
        "/oauth/token",
        "https://api.openai.com/v1",
        "subject_token",
        {
            "grant_type": (EXCHANGE,),
            "subject_token_type": (JWT, ID_TOKEN),
            "identity_provider_id": ("idp_1",),
            "service_account_id": ("sa_1",),
        },
        as_json=True,
    ),
    "openrouter": Rules(
        "/api/v1/oauth/token",
        "https://openrouter.ai",
        "subject_token",
        {
            "grant_type": (EXCHANGE,),
            "subject_token_type": (JWT,),
            "federation_policy_id": ("4b2f7d1e-8c3a-4e5f-9a6b-1c2d3e4f5a6b",),
        },
        {"scope": ("inference",)},
        longest=900.0,
        within=True,
        shape=lambda code, words: {"error": {"code": 401, "type": code, "message": words}},
    ),
    "rfc8693": Rules(
        "/token",
        "https://gateway.example",
        "subject_token",
        {"grant_type": (EXCHANGE,), "subject_token_type": (JWT, ID_TOKEN)},
        {
            "scope": ("chat", "embed"),
            "resource": ("https://gateway.example/api",),
            "client_id": ("broker",),
            "requested_token_type": ("urn:ietf:params:oauth:token-type:access_token",),
        },
    ),
    "rfc7523": Rules(
        "/token",
        "https://gateway.example",
        "assertion",
        {"grant_type": (JWT_BEARER,)},
        {"scope": ("chat", "embed"), "client_id": ("broker",)},
    ),
}
