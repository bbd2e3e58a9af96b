"""What key does a provider's answer hold, and how long does it live?"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any

from brokerd.backends.federation.formats import Format
from brokerd.backends.federation.refusal import is_skewed, skewed
from brokerd.http import Reply
from brokerd.identities.base import Token
from brokerd.model import BoundedBy, Credential
from brokershim.errors import BackendUnavailable, ServerDown
from brokershim.reference import is_key

_MAX_BYTES = 16 * 1024
"""The longest token: it has to fit into one header of a request, and into the reply of a lease."""
_SHORTEST = 5.0
"""Seconds; a token with less life than this is over before anything is done with it."""
_FLOOR = 30.0
_JITTER = 0.2


class Granted:
    """The answer to one exchange.

    Args:
        host: Who answered.
        form: How it answers.
        reply: What it said.
        token: What it was sent.
    """

    def __init__(self, host: str, form: Format, reply: Reply, token: Token) -> None:
        self._host, self._form, self._reply, self._token = host, form, reply, token

    def credential(self, sent_at: float, share: float) -> Credential:
        """Return the key.

        Args:
            sent_at: When it was asked for: its life began then at the earliest. In seconds of
                `brokershim.clock.now`.
            share: A number between 0 and 1, another each time: daemons that were started
                together are not to refresh together for ever.

        Raises:
            ServerDown: There is none, or none with a life.
            ClockSkew: It is over already, and this machine's clock is off.
        """
        document = self._reply.document()
        value, life = self._value(document), self._life(document, sent_at)
        refresh = self._refresh(life) * (1 - _JITTER * share)
        return Credential(
            value,
            secrets.token_hex(4),
            BoundedBy.PROVIDER,
            expires_at=sent_at + life,
            refresh_at=sent_at + refresh,
            floor=min(_FLOOR, life / 4),
        )

    def _refresh(self, life: float) -> float:
        """Return the seconds until a newer one is due: by the provider's advice or by half a life.

        Never before a quarter: a margin that a short life does not leave room for would make
        each call an exchange.
        """
        return max(min(life / 2, life - self._form.margin), life / 4)

    def _value(self, document: Mapping[str, Any]) -> bytes:
        """Return the token of an answer (RFC 6749, section 5.1)."""
        value, kind = document.get("access_token"), document.get("token_type", "bearer")
        if not isinstance(value, str) or not is_key(value):
            raise ServerDown(f"{self._host} answers no token")
        if len(value) > _MAX_BYTES:
            raise ServerDown(f"{self._host} answers a token of more than {_MAX_BYTES} bytes")
        if not isinstance(kind, str) or kind.lower() != "bearer":
            raise ServerDown(f"{self._host} answers a token that is no bearer token")
        return value.encode()

    def _life(self, document: Mapping[str, Any], sent_at: float) -> float:
        seconds: object = document.get("expires_in")
        if isinstance(seconds, bool) or not isinstance(seconds, int | float):
            raise ServerDown(
                f"{self._host} does not say how long its token lives",
                hint="a token that does not die by itself is not what this backend is for",
            )
        ends = self._token.expires_at - sent_at if self._form.within_assertion else seconds
        life = min(seconds, ends, self._form.longest)
        if not life >= _SHORTEST:  # true of NaN, too
            raise self._over()
        return float(life)

    def _over(self) -> BackendUnavailable:
        if is_skewed(self._reply):
            return skewed(self._host, self._reply, "its token is over already")
        return ServerDown(f"{self._host} answers a token that is over already")
