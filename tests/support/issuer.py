"""A small OpenID provider on loopback, honest until a test tells it otherwise."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import time
from collections.abc import Callable
from email.utils import formatdate
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit

from joserfc import jwt
from joserfc.jwk import Key, KeyParameters, RSAKey

from tests.support.provider import Answer, Asked, Provider

CLIENT = "brokerctl-test"
KEYS = [RSAKey.generate_key(2048, KeyParameters(kid=f"key-{n}", use="sig")) for n in range(2)]
_GRANT = "urn:ietf:params:oauth:grant-type:"


class OpenIdIssuer:
    """One provider with one client and one person; a context manager.

    It checks PKCE, redirect URIs and who redeems what, so that a broken client gets nothing.

    Attributes:
        url: Its address and its name.
        ahead: Seconds that its clock is ahead of the machine's.
        metadata: What its discovery document says beyond, or in the place of, the usual.
        claims: What its ID tokens say beyond, or in the place of, the usual; None leaves out.
        resource_claims: The same for its access tokens.
        sign: Makes a token of claims.
        shown: The keys that it shows.
        refreshing: Whether it grants refresh tokens, and each refresh a new one.
        refresh_life: How long these live, as it says; None where it says nothing.
        ready: Whether the person with the device code is done.
        interval: Seconds from one question for that to the next.
        instead: What a path answers in place of the usual.
        revoked: Refresh tokens that were given back.
        good: Refresh tokens that are still good.
        asked: Every request so far.
    """

    def __init__(self) -> None:
        self._server = Provider(self._reply)
        self.url, self.asked = self._server.url, self._server.asked
        self.ahead = 0.0
        self.metadata: dict[str, Any] = {}
        self.claims: dict[str, Any] = {}
        self.resource_claims: dict[str, Any] = {}
        self.sign: Callable[[dict[str, Any]], str] = signed
        self.shown: list[Key] = [*KEYS[:1]]
        self.refreshing = True
        self.refresh_life: float | None = None
        self.ready = False
        self.interval = 5
        self.instead: dict[str, Callable[[Asked], Answer]] = {}
        self.revoked: list[str] = []
        self.good: set[str] = set()
        self._codes: dict[str, dict[str, str]] = {}

    def __enter__(self) -> OpenIdIssuer:
        self._server.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.__exit__()

    def consent(self, url: str, **changes: str) -> str:
        """Say yes in the place of a person; return where their browser goes next."""
        question = dict(parse_qsl(urlsplit(url).query))
        assert question["client_id"] == CLIENT
        assert question["response_type"] == "code"
        assert question["code_challenge_method"] == "S256"
        code = secrets.token_urlsafe(16)
        self._codes[code] = question
        answer = {"code": code, "state": question["state"], "iss": self.url, **changes}
        return f"{question['redirect_uri']}?{urlencode(answer)}"

    def asked_for(self, path: str) -> list[dict[str, str]]:
        """Return the forms that were sent to a path."""
        return [_form(each) for each in self.asked if urlsplit(each.target).path == path]

    def now(self) -> float:
        """Return what its clock says."""
        return time.time() + self.ahead

    def _reply(self, asked: Asked) -> Answer:
        path = urlsplit(asked.target).path
        usual: dict[str, Callable[[Asked], Answer]] = {
            "/.well-known/openid-configuration": self._discovery,
            "/jwks": self._jwks,
            "/token": self._token,
            "/device": self._device,
            "/revoke": self._revoke,
        }
        answer = {**usual, **self.instead}.get(path, _nothing)(asked)
        date = ("date", formatdate(self.now(), usegmt=True))
        return answer._replace(headers=(*answer.headers, date))

    def _discovery(self, _: Asked) -> Answer:
        usual = {
            "issuer": self.url,
            "authorization_endpoint": f"{self.url}/authorize",
            "token_endpoint": f"{self.url}/token",
            "jwks_uri": f"{self.url}/jwks",
            "device_authorization_endpoint": f"{self.url}/device",
            "revocation_endpoint": f"{self.url}/revoke",
            "code_challenge_methods_supported": ["S256"],
            "authorization_response_iss_parameter_supported": True,
        }
        return _json({**usual, **self.metadata})

    def _jwks(self, _: Asked) -> Answer:
        return _json({"keys": [each.as_dict(private=False) for each in self.shown]})

    def _token(self, asked: Asked) -> Answer:
        form = _form(asked)
        if form.get("client_id") != CLIENT:
            return refusal("invalid_client")
        grant = form["grant_type"].removeprefix(_GRANT)
        if grant == "authorization_code":
            return self._for_code(form)
        if grant == "refresh_token":
            return self._for_refresh_token(form)
        return self._granted({}) if self.ready else refusal("authorization_pending")

    def _for_code(self, form: dict[str, str]) -> Answer:
        question = self._codes.pop(form["code"], None)
        digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).decode().rstrip("=")
        if question is None or question["code_challenge"] != challenge:
            return refusal("invalid_grant", "no such code, or a wrong verifier")
        if question["redirect_uri"] != form["redirect_uri"]:
            return refusal("invalid_grant", "another redirect URI")
        return self._granted({"nonce": question["nonce"]})

    def _for_refresh_token(self, form: dict[str, str]) -> Answer:
        if form["refresh_token"] not in self.good:
            return refusal("invalid_grant", f"no good token: {form['refresh_token']}")
        if self.refreshing:
            self.good.remove(form["refresh_token"])
        return self._granted({}, form.get("resource"))

    def _granted(self, claims: dict[str, Any], resource: str | None = None) -> Answer:
        answer: dict[str, Any] = {"token_type": "Bearer", "access_token": "opaque-access-token"}
        if resource is not None:
            answer["access_token"] = self.sign(self._said(resource, self.resource_claims))
        answer["id_token"] = self.sign(self._said(CLIENT, {**claims, **self.claims}))
        if self.refreshing:
            answer["refresh_token"] = secrets.token_urlsafe(32)
            self.good.add(answer["refresh_token"])
        if self.refresh_life is not None:
            answer["refresh_expires_in"] = self.refresh_life
        return _json(answer)

    def _said(self, audience: str, claims: dict[str, Any]) -> dict[str, Any]:
        now = int(self.now())
        usual = {
            "iss": self.url,
            "sub": "user-1",
            "email": "ada@example.org",
            "aud": audience,
            "iat": now,
            "exp": now + 300,
            "jti": secrets.token_hex(8),
        }
        whole = {**usual, **claims}
        return {name: value for name, value in whole.items() if value is not None}

    def _device(self, _: Asked) -> Answer:
        return _json(
            {
                "device_code": "the-device-code",
                "user_code": "WDJB-MJHT",
                "verification_uri": f"{self.url}/go",
                "verification_uri_complete": f"{self.url}/go?user_code=WDJB-MJHT",
                "expires_in": 600,
                "interval": self.interval,
            }
        )

    def _revoke(self, asked: Asked) -> Answer:
        token = _form(asked)["token"]
        self.revoked.append(token)
        self.good.discard(token)
        return _json({})


def signed(claims: dict[str, Any], key: RSAKey = KEYS[0], alg: str = "RS256") -> str:
    """Return claims as a token."""
    return jwt.encode({"alg": alg, "kid": key.kid}, claims, key, algorithms=[alg])


def unsigned(claims: dict[str, Any], alg: str = "none") -> str:
    """Return claims as a token that nobody signed."""
    parts = [{"alg": alg, "kid": KEYS[0].kid}, claims]
    texts = [base64.urlsafe_b64encode(json.dumps(each).encode()).decode() for each in parts]
    return ".".join(each.rstrip("=") for each in texts) + "."


def refusal(code: str, description: str = "") -> Answer:
    """Return an OAuth error (RFC 6749, section 5.2)."""
    return _json({"error": code, "error_description": description}, 400)


def _nothing(_: Asked) -> Answer:
    return _json({}, 404)


def _form(asked: Asked) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(asked.body.decode()).items()}


def _json(document: Any, status: int = 200) -> Answer:
    return Answer(status, json.dumps(document).encode())
