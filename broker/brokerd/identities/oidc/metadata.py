"""What does a provider say of itself? (Pure; OpenID Connect Discovery 1.0, RFC 8414.)"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import urlsplit

from brokerd.http import check_url
from brokershim.errors import ConfigError, IdentityUnavailable, ServerDown


@dataclass(frozen=True)
class Metadata:
    """Where a provider is asked what; an endpoint is None where there is none.

    Attributes:
        issuer: Who it is.
        token: Where codes and refresh tokens become tokens.
        jwks: Its public keys.
        authorization: Where a browser goes.
        device: Where a device asks for a code (RFC 8628).
        revocation: Where a token is given back (RFC 7009).
        names_itself: Whether it says who it is as it sends a browser back (RFC 9207).
        scopes: What can be asked for; None where it does not say.
    """

    issuer: str
    token: str
    jwks: str
    authorization: str | None
    device: str | None
    revocation: str | None
    names_itself: bool
    scopes: frozenset[str] | None


def url_of(issuer: str) -> str:
    """Return where an issuer's metadata stands (OpenID Connect Discovery 1.0, section 4)."""
    return issuer.removesuffix("/") + "/.well-known/openid-configuration"


def parse(issuer: str, document: Mapping[str, Any]) -> Metadata:
    """Return what a document says.

    Raises:
        ServerDown: It is none, is of another issuer, or names an address that is not safe.
        IdentityUnavailable: The provider cannot do PKCE (RFC 7636).
    """
    if not document:
        raise ServerDown(f"{issuer} has no discovery document", hint="see the identity's issuer")
    if document.get("issuer") != issuer:
        # Tokens of a mix-up or of a copied document would be those of another provider.
        raise ServerDown(f"the discovery document of {issuer} is of another issuer")
    methods = _texts(document, "code_challenge_methods_supported")
    if methods is not None and "S256" not in methods:
        raise IdentityUnavailable(f"{issuer} does not do PKCE with S256, so a code can be stolen")
    return Metadata(
        issuer=issuer,
        token=_required(issuer, document, "token_endpoint"),
        jwks=_required(issuer, document, "jwks_uri"),
        authorization=_endpoint(issuer, document, "authorization_endpoint"),
        device=_endpoint(issuer, document, "device_authorization_endpoint"),
        revocation=_endpoint(issuer, document, "revocation_endpoint"),
        names_itself=document.get("authorization_response_iss_parameter_supported") is True,
        scopes=_texts(document, "scopes_supported"),
    )


def check_endpoint(issuer: str, what: str, url: object) -> str:
    """Return an address that a provider names, unchanged.

    Raises:
        ServerDown: It is not https; http is only for an issuer that is itself on this machine,
            so that no server can send a token to whatever listens here.
    """
    fault = ServerDown(f"{issuer} names a {what} that is not https")
    if not isinstance(url, str):
        raise fault
    try:
        check_url(what, url)
    except ConfigError:
        raise fault from None
    if urlsplit(url).scheme == "http" and urlsplit(issuer).scheme != "http":
        raise fault
    return url


def _required(issuer: str, document: Mapping[str, Any], key: str) -> str:
    found = _endpoint(issuer, document, key)
    if found is None:
        raise ServerDown(f"the discovery document of {issuer} has no {key}")
    return found


def _endpoint(issuer: str, document: Mapping[str, Any], key: str) -> str | None:
    found: object = document.get(key)
    return None if found is None else check_endpoint(issuer, key, found)


def _texts(document: Mapping[str, Any], key: str) -> frozenset[str] | None:
    found: object = document.get(key)
    if not isinstance(found, list):
        return None
    return frozenset(each for each in cast("list[object]", found) if isinstance(each, str))
