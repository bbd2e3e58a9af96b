"""An issuer of signed tokens on loopback, with what others need to verify them."""

from __future__ import annotations

import functools
import itertools
import json
import time
import uuid
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import urllib3
from joserfc import jwt
from joserfc.jwk import ECKey, KeyParameters, KeySet, RSAKey

from tests.support import ci_claims
from tests.support.provider import Answer, Asked, Provider

_DISCOVERY = "/.well-known/openid-configuration"
_JWKS = "/.well-known/jwks"
_REQUEST = "/_apis/pipelines/token"
_REQUEST_TOKEN = "request-token-of-the-job"
_BITS = 2048
_KEYS = 4
"""So many issuers in a row have keys of their own: none takes what the one before it signed."""
_turns = itertools.count()


class Published:
    """Somebody else's issuer, as far as it publishes itself (OpenID Connect Discovery 1.0).

    Args:
        url: Its ``iss``.
    """

    def __init__(self, url: str) -> None:
        self.url = url

    def verify(self, token: str) -> dict[str, Any]:
        """Return the claims of a token that it signed; raises as `Issuer.verify`."""
        keys = KeySet.import_key_set(_fetch(_fetch(self.url + _DISCOVERY)["jwks_uri"]))
        return dict(jwt.decode(token, keys, algorithms=["RS256", "ES256"]).claims)


class Issuer:
    """Issues what GitHub, GitLab and Kubernetes would; a context manager.

    It publishes its keys by discovery (OpenID Connect Discovery 1.0) as a JWK set (RFC 7517).

    Args:
        now: The time that its tokens count from, in seconds of `time.time`.

    Attributes:
        url: Its address, and the ``iss`` of its tokens.
        asked: Every request so far.
        refusal: What the endpoint of GitHub's jobs answers in place of a token, if anything.
    """

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        self._now = now
        self._key: RSAKey | ECKey = _first_key(next(_turns) % _KEYS)
        self._keys: list[RSAKey | ECKey] = [self._key]
        self._provider = Provider(self._reply)
        self.url = self._provider.url
        self.asked: list[Asked] = self._provider.asked
        self.refusal: Answer | None = None

    def __enter__(self) -> Issuer:
        self._provider.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._provider.__exit__()

    def github(self, audience: str, **claims: Any) -> str:
        """Issue a token of a GitHub Actions job; a claim given here takes the place of its own."""
        return self.issue(audience, {**ci_claims.github(self._now()), **claims})

    def gitlab(self, audience: str, **claims: Any) -> str:
        """Issue a token of a GitLab job."""
        return self.issue(audience, {**ci_claims.gitlab(self._now()), **claims})

    def kubernetes(self, audience: str, **claims: Any) -> str:
        """Issue a projected service account token; its audience is a list, as theirs is."""
        return self.issue([audience], {**ci_claims.kubernetes(self._now()), **claims})

    def issue(self, audience: str | list[str], claims: dict[str, Any]) -> str:
        """Sign claims; a claim that is None is left out."""
        standard = {"iss": self.url, "aud": audience, "jti": str(uuid.uuid4())}
        whole = {name: it for name, it in {**standard, **claims}.items() if it is not None}
        header = {"typ": "JWT", "alg": _algorithm(self._key), "kid": self._key.kid}
        return jwt.encode(header, whole, self._key, algorithms=[_algorithm(self._key)])

    def rotate(self, *, curve: bool = False) -> None:
        """Sign with a new key from now on; tokens of the old one go on being good."""
        name = _named(f"key-{len(self._keys) + 1}")
        self._key = ECKey.generate_key("P-256", name) if curve else RSAKey.generate_key(_BITS, name)
        self._keys.append(self._key)

    def key_set(self) -> dict[str, Any]:
        """Return the public keys."""
        return {"keys": [each.as_dict(private=False) for each in self._keys]}

    def verify(self, token: str) -> dict[str, Any]:
        """Return the claims of a token that this issuer signed.

        Raises:
            JoseError: It did not.
        """
        keys = KeySet.import_key_set({"keys": self.key_set()["keys"]})
        return dict(jwt.decode(token, keys, algorithms=["RS256", "ES256"]).claims)

    def github_job(self) -> dict[str, str]:
        """Return the variables of a GitHub Actions job with the permission ``id-token: write``."""
        return {
            "GITHUB_ACTIONS": "true",
            "ACTIONS_ID_TOKEN_REQUEST_URL": f"{self.url}{_REQUEST}?api-version=2.0",
            "ACTIONS_ID_TOKEN_REQUEST_TOKEN": _REQUEST_TOKEN,
        }

    def _reply(self, asked: Asked) -> Answer:
        path = urlsplit(asked.target).path
        if path == _DISCOVERY:
            return Answer(200, _json(self._discovery()))
        if path == _JWKS:
            return Answer(200, _json(self.key_set()))
        if path == _REQUEST:
            return self.refusal or self._for_the_job(asked)
        return Answer(404, _json({"error": "not_found"}))

    def _discovery(self) -> dict[str, Any]:
        return {
            "issuer": self.url,
            "jwks_uri": self.url + _JWKS,
            "response_types_supported": ["id_token"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256", "ES256"],
        }

    def _for_the_job(self, asked: Asked) -> Answer:
        """Answer as GitHub's runner service does."""
        scheme, _, token = asked.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or token != _REQUEST_TOKEN:
            return Answer(401, _json({"message": "no such job"}))
        query = parse_qs(urlsplit(asked.target).query)
        token = self.github(query.get("audience", ["https://github.com/octo-org"])[0])
        return Answer(200, _json({"count": len(token), "value": token}))


@functools.cache
def _first_key(number: int) -> RSAKey:
    """Return one of a few keys: making one takes longer than most tests, and hundreds want one."""
    del number
    return RSAKey.generate_key(_BITS, _named("key-1"))


def _fetch(url: str) -> Any:
    return urllib3.request("GET", url).json()


def _named(name: str) -> KeyParameters:
    return {"kid": name, "use": "sig"}


def _algorithm(key: RSAKey | ECKey) -> str:
    return "RS256" if isinstance(key, RSAKey) else "ES256"


def _json(document: Any) -> bytes:
    return json.dumps(document).encode()
