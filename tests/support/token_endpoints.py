"""Providers that exchange an identity's token for one that dies, and serve only those alive.

They verify what they are sent as the vendors' references say, and refuse what these do not name.
"""

from __future__ import annotations

import json
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qsl

from joserfc.errors import JoseError

from tests.support.jwks import Issuer
from tests.support.provider import Answer, Asked, Misbehave, Provider, Reply, honest
from tests.support.signing_identity import SUBJECT
from tests.support.vendor_rules import OAUTH_BETA, RULES

Fields = dict[str, str]


class TokenEndpoint:
    """One vendor's token endpoint and its models; a context manager.

    Args:
        kind: A key of `RULES`.
        issuer: Whose tokens it trusts.
        now: The time, in seconds of `time.time`.

    Attributes:
        life: Seconds that it says its tokens live.
        extra: More of each answer; None takes a field away.
        subject: Whom its rule is for.
        single_use: Whether a ``jti`` is good for one exchange only.
        instead: What the next exchanges are answered with or by, in order; None for honestly.
        exchanges: How many tokens it has given.
        given: Those tokens.
        asked: Every request so far.
    """

    def __init__(self, kind: str, issuer: Issuer, now: Callable[[], float] = time.time) -> None:
        self._rules, self._issuer, self._now = RULES[kind], issuer, now
        self._provider = Provider(self._reply)
        self._lock = threading.Lock()
        self._used: set[str] = set()
        self._tokens: dict[str, float] = {}
        self.kind = kind
        self.life = self._rules.longest
        self.extra: dict[str, Any] = {}
        self.subject = SUBJECT
        self.single_use = True
        self.instead: list[Answer | Misbehave | Reply | None] = []
        self.exchanges = 0
        self.given: list[str] = []
        self.base = self._provider.url
        self.url = self.base + self._rules.path
        self.asked: list[Asked] = self._provider.asked

    def __enter__(self) -> TokenEndpoint:
        self._provider.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._provider.__exit__()

    @property
    def port(self) -> int:
        """The port of it all."""
        return self._provider.port

    def revoke(self) -> None:
        """Let every token die at once."""
        with self._lock:
            self._tokens.clear()

    def is_alive(self, token: str) -> bool:
        """Return whether it would be served."""
        return self._tokens.get(token, 0.0) > self._now()

    def _reply(self, asked: Asked) -> Answer:
        if asked.target != self._rules.path:
            return self._serve(asked)
        instead = self.instead.pop(0) if self.instead else None
        if isinstance(instead, Misbehave):
            raise instead
        if isinstance(instead, Answer):
            return instead
        return (instead or self._exchange)(asked)

    def _exchange(self, asked: Asked) -> Answer:
        try:
            claims = self._checked(asked)
        except _Refused as no:
            return _answer(no.status, self._rules.shape(no.code, no.words))
        life = min(self.life, claims["exp"] - self._now() if self._rules.within else self.life)
        token = self._rules.prefix + secrets.token_urlsafe(24)
        with self._lock:
            self._tokens[token] = self._now() + life
            self.exchanges += 1
            self.given.append(token)
        answer = {"access_token": token, "token_type": "Bearer", "expires_in": life, **self.extra}
        return _answer(200, {name: it for name, it in answer.items() if it is not None})

    def _checked(self, asked: Asked) -> dict[str, Any]:
        fields = self._fields(asked)
        betas = {each.strip() for each in asked.headers.get("anthropic-beta", "").split(",")}
        if not betas.issuperset(self._rules.betas):
            raise _Refused("invalid_request", "the beta header is missing", 400)
        if set(self._rules.betas) != betas - {""}:
            raise _Refused("invalid_request", "unknown beta", 400)
        known = {**self._rules.required, **self._rules.optional}
        for name in fields.keys() - known.keys() - {self._rules.assertion}:
            raise _Refused("invalid_request", f"unknown field {name}", 400)
        for name in self._rules.required.keys() - fields.keys():
            raise _Refused("invalid_request", f"{name} is missing", 400)
        for name, values in known.items():
            if name in fields and fields[name] not in values:
                raise _Refused("invalid_grant", f"no such {name}", 401)
        return self._claims(fields.get(self._rules.assertion, ""))

    def _fields(self, asked: Asked) -> Fields:
        kind = "application/json" if self._rules.as_json else "application/x-www-form-urlencoded"
        if asked.method != "POST" or asked.headers.get("content-type") != kind:
            raise _Refused("invalid_request", f"not a POST of {kind}", 400)
        if self._rules.as_json:
            return {name: str(value) for name, value in json.loads(asked.body).items()}
        return dict(parse_qsl(asked.body.decode(), strict_parsing=True))

    def _claims(self, assertion: str) -> dict[str, Any]:
        """Check signature, issuer, audience, times and single use (RFC 7523, section 3)."""
        try:
            claims = self._issuer.verify(assertion)
        except (JoseError, ValueError):
            raise _Refused("invalid_grant", "the signature does not hold", 401) from None
        audience, now = claims.get("aud"), self._now()
        if claims.get("iss") != self._issuer.url or claims.get("sub") != self.subject:
            raise _Refused("invalid_grant", "no rule for this issuer and subject", 401)
        if self._rules.audience not in (audience if isinstance(audience, list) else [audience]):
            raise _Refused("invalid_grant", f"the audience is {audience}", 401)
        if not claims.get("nbf", now) - 30 <= now < claims.get("exp", 0) + 30:
            raise _Refused("invalid_grant", "the token is expired or not yet valid", 401)
        self._use(claims)
        return claims

    def _use(self, claims: Mapping[str, Any]) -> None:
        with self._lock:
            if self.single_use and claims.get("jti") in {None, *self._used}:
                raise _Refused("invalid_grant", "the jti was used before, or is missing", 401)
            self._used.add(claims["jti"])

    def _serve(self, asked: Asked) -> Answer:
        """Answer as a model does, to a token that is alive and shown in the one right way."""
        scheme, _, token = asked.headers.get("authorization", "").partition(" ")
        if "x-api-key" in asked.headers or scheme != "Bearer" or not self.is_alive(token):
            return _answer(401, self._rules.shape("authentication_error", "invalid bearer token"))
        betas = asked.headers.get("anthropic-beta", "")
        if self.kind == "anthropic" and OAUTH_BETA not in betas.replace(" ", "").split(","):
            return _answer(401, self._rules.shape("authentication_error", "OAuth not supported"))
        return honest(asked)


class _Refused(Exception):
    def __init__(self, code: str, words: str, status: int) -> None:
        super().__init__(words)
        self.code, self.words, self.status = code, words, status


def _answer(status: int, document: dict[str, Any]) -> Answer:
    return Answer(status, json.dumps(document).encode())
