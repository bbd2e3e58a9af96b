"""Does a token say what it must, and did the provider say it?

Signatures are joserfc's, and the claims of an ID token Authlib's; what must hold is said here
(OpenID Connect Core 1.0, section 3.1.3.7; RFC 8725).
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from joserfc import jws, jwt
from joserfc.errors import (
    ClaimError,
    ExpiredTokenError,
    InvalidKeyIdError,
    JoseError,
    MissingClaimError,
)
from joserfc.jwk import KeySet

from brokerd.identities.base import Token
from brokerd.identities.oidc.clocks import Clocks
from brokerd.identities.oidc.endpoint import Grant
from brokerd.identities.oidc.provider import Provider
from brokerd.identities.oidc.settings import Settings
from brokershim.errors import BrokerError, ClockSkew

ALGORITHMS = (
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512",
    "ES256", "ES384", "ES512", "EdDSA", "Ed25519",
)  # fmt: skip
"""Those that need a private key: not "none", and none that a public key could be the secret of."""
LEEWAY_SECONDS = 60
_LONGEST_LIFE = 366 * 86400.0
_LATEST = 253402300800
"""The year 10000: later than that is no time, and may be more than a float holds."""
_LONGEST_SUBJECT = 255  # OpenID Connect Core 1.0, section 2
_FAULTS = (JoseError, ValueError, TypeError, KeyError, AttributeError, RecursionError)
"""What joserfc and Authlib raise for texts that no honest issuer signs."""
_OVER = "it is over"
_NO_END = "its end is no time"
_TIMES = (_OVER, "nbf", "iat")
_NAMES = ("email", "preferred_username", "name")


@dataclass(frozen=True)
class Person:
    """Who an ID token names.

    Attributes:
        token: The token.
        shown: The name that they know themselves by.
    """

    token: Token
    shown: str


class Verifier:
    """Checks what one provider issues to us.

    Args:
        settings: Who the provider is, and who we are to it.
        provider: Has its keys.
        clocks: What time it is.
    """

    def __init__(self, settings: Settings, provider: Provider, clocks: Clocks) -> None:
        self._settings, self._provider, self._clocks = settings, provider, clocks

    def person(self, grant: Grant, nonce: str | None, wrong: type[BrokerError]) -> Person:
        """Return who the ID token of an answer names.

        Args:
            grant: The answer.
            nonce: What the token has to repeat; None where nothing was sent.
            wrong: The error where it proves nothing.

        Raises:
            ClockSkew: Its times do not fit, as this machine's clock is off.
            ServerDown: The provider's keys cannot be had.
        """
        if grant.id_token is None:
            raise wrong(f"{self._settings.issuer} gives no ID token", hint="ask for scope openid")
        found = self._signed(grant.id_token, wrong)
        params = {
            "client_id": self._settings.client_id,
            "nonce": nonce,
            "access_token": grant.access_token,
        }
        id_token = importlib.import_module("authlib.oidc.core.claims").CodeIDToken
        header = {**found.header, "alg": _hash_name(found.header)}
        options = _options(self._settings.issuer, self._settings.client_id)
        claims = id_token(found.claims, header, options, params)
        self._check(claims.validate, grant.skew, wrong)
        token = self._token(grant.id_token, found.claims, wrong)
        return Person(token, _name(found.claims))

    def access_token(self, grant: Grant, audience: str, wrong: type[BrokerError]) -> Token:
        """Return the access token of an answer, a JWT for an audience. Raises as `person`."""
        found = self._signed(grant.access_token or "", wrong)
        options = _options(self._settings.issuer, audience)

        def validate(now: int, leeway: int) -> None:
            jwt.JWTClaimsRegistry(now, leeway, **options).validate(found.claims)

        self._check(validate, grant.skew, wrong)
        return self._token(grant.access_token or "", found.claims, wrong)

    def _signed(self, value: str, wrong: type[BrokerError]) -> jwt.Token:
        try:
            try:
                return self._decoded(value, self._provider.keys())
            except InvalidKeyIdError:  # the provider may have a new key since
                return self._decoded(value, self._provider.newer_keys())
        except _FAULTS as error:
            reason = type(error).__name__
        # After the handler: what a library says of a token may repeat parts of it.
        raise wrong(f"a token of {self._settings.issuer} is not signed as it must be ({reason})")

    def _decoded(self, value: str, keys: KeySet) -> jwt.Token:
        # A header may hold more than the standard's; "crit" (RFC 7515, section 4.1.11) is checked.
        registry = jws.JWSRegistry(algorithms=ALGORITHMS, strict_check_header=False)
        return jwt.decode(value, keys, registry=registry)

    def _check(
        self,
        validate: Callable[[int, int], None],
        skew: float | None,
        wrong: type[BrokerError],
    ) -> None:
        try:
            return validate(int(self._clocks.wall()), LEEWAY_SECONDS)
        except ExpiredTokenError:
            claim = _OVER
        except MissingClaimError as error:
            claim = f"{error.claim} is missing"
        except ClaimError as error:
            claim = error.claim
        except _FAULTS as error:
            claim = type(error).__name__
        issuer = self._settings.issuer
        if claim in _TIMES and skew is not None and abs(skew) > LEEWAY_SECONDS:
            side = "behind" if skew > 0 else "ahead of"
            raise ClockSkew(
                f"this machine's clock is {abs(skew):.0f} s {side} that of {issuer}",
                details={"offset": round(skew)},
            )
        raise wrong(f"a token of {issuer} does not say what it must ({_said(claim)})")

    def _token(self, value: str, claims: Mapping[str, Any], wrong: type[BrokerError]) -> Token:
        ends, subject = claims["exp"], claims["sub"]
        if not ends < _LATEST:
            raise wrong(f"a token of {self._settings.issuer} does not say what it must ({_NO_END})")
        # It is shown, and written into the audit.
        if len(subject) > _LONGEST_SUBJECT or not subject.isprintable():
            raise wrong(f"a token of {self._settings.issuer} names nobody that could be shown")
        left = min(ends - self._clocks.wall(), _LONGEST_LIFE)
        return Token(
            value=value,
            issuer=claims["iss"],
            subject=subject,
            expires_at=self._clocks.boot() + left,
            id=claims.get("jti"),
        )


def _options(issuer: str, audience: str) -> dict[str, Any]:
    return {
        "iss": {"essential": True, "value": issuer},
        "sub": {"essential": True},
        "aud": {"essential": True, "value": audience},
        "exp": {"essential": True},
    }


def _hash_name(header: Mapping[str, Any]) -> str:
    """Return the algorithm whose hash ``at_hash`` is made with; Authlib knows one of the two."""
    return "EdDSA" if header["alg"] == "Ed25519" else header["alg"]


def _name(claims: Mapping[str, Any]) -> str:
    """Return a name for people, on one line."""
    for each in _NAMES:
        found: object = claims.get(each)
        if isinstance(found, str) and 0 < len(found) <= 200 and found.isprintable():  # noqa: PLR2004
            return found
    return str(claims["sub"])


def _said(claim: str) -> str:
    return {
        "exp": _NO_END,
        "nbf": "it is not valid yet",
        "iat": "it is from the future",
        "iss": "its issuer is another",
        "aud": "it is for another audience",
        "azp": "it is for another client",
        "nonce": "its nonce is of another login",
        "at_hash": "its access token is another",
    }.get(claim, claim)
