"""Which server gets a request, and what is done where it does not answer?

A request goes on to the next server only where it surely had no effect, or where it may be
repeated. However many servers hang, all of it is over in time.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Iterator
from typing import Any, cast
from urllib.parse import urlsplit

import requests
from requests.adapters import BaseAdapter

from brokerd.backends.vault.answers import judged
from brokerd.lost import Lost
from brokerd.roundtrip import TOTAL_SECONDS, RoundTrip
from brokerd.trust import Trust
from brokershim.errors import (
    BackendTimeout,
    BackendUnavailable,
    BrokerError,
    RateLimited,
    ServerDown,
    ServerStandby,
)

_PAUSES = (0.0, 0.3)
"""Seconds before each round of asking them all."""
_LEAST_SECONDS = 0.05
_TOKEN = "x-vault-token"  # noqa: S105  (a header's name)
_HARMLESS = frozenset({"GET", "HEAD", "LIST"})
_log = logging.getLogger(__name__)


class Order:
    """In which order servers are asked: the one that served last comes first, if any did.

    Args:
        addresses: Their URLs, in the order of the configuration.
    """

    def __init__(self, addresses: tuple[str, ...]) -> None:
        self._addresses = addresses
        self._first = 0

    def turns(self) -> list[str]:
        """Return all servers, in the order in which they are asked now."""
        first = self._first  # another thread may change it
        return [*self._addresses[first:], *self._addresses[:first]]

    def failed(self, address: str) -> None:
        """Begin with the one after it from now on, until that fails, too."""
        self._first = (self._addresses.index(address) + 1) % len(self._addresses)


class Transport(BaseAdapter):
    """Sends what hvac asks, over one connection for each request.

    Args:
        name: The backend's, for messages.
        order: The servers.
        trust: How they prove who they are, and how we do.
        once: Whether no request may be repeated that a server may have.
    """

    def __init__(self, name: str, order: Order, trust: Trust, once: bool) -> None:
        super().__init__()
        self._name, self._order, self._trust, self._once = name, order, trust, once

    def send(self, request: requests.PreparedRequest, *_: Any, **__: Any) -> requests.Response:
        """Return a Vault's answer.

        Raises:
            ServerDown: No server answers as it should; ``sent`` in the details says whether one
                may have acted on the request.
            BackendTimeout: Likewise, in time.
            RateLimited: A server asks for a pause.
            BrokerError: There is no proof of who we are, or a header cannot be sent.
        """
        lost: dict[str, Lost] = {}
        until = time.monotonic() + TOTAL_SECONDS
        for pause in _PAUSES:
            time.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311 - spreads load
            answer = self._round(request, until, lost)
            if answer is not None:
                return answer
            if not any(_is_brief(each) for each in lost.values()):
                break
        raise _together(self._name, lost)

    def close(self) -> None:
        """Do nothing: no connection outlives its request."""

    def _round(
        self, request: requests.PreparedRequest, until: float, lost: dict[str, Lost]
    ) -> requests.Response | None:
        """Ask each server in turn until one answers; what the others said goes into ``lost``."""
        for address, left, share in self._turns(until):
            found = self._ask(address, request, left, share)
            if not isinstance(found, Lost):
                return found
            lost[urlsplit(address).netloc] = found
            self._order.failed(address)
            if not self._may_go_on(request, found):
                raise _together(self._name, lost)
            _log.info("%s: %s", self._name, found.error.message)
        return None

    def _turns(self, until: float) -> Iterator[tuple[str, float, float]]:
        """Yield servers, the seconds that are left, and this one's fair share of them."""
        turns = self._order.turns()
        for number, address in enumerate(turns):
            left = until - time.monotonic()
            if left < _LEAST_SECONDS:
                return
            yield address, left, left / (len(turns) - number)

    def _ask(
        self, address: str, request: requests.PreparedRequest, left: float, share: float
    ) -> requests.Response | Lost:
        """Ask one server.

        Its share is how long it may take until the request is sent, and, where the next server
        may have the request too, until it has answered.
        """
        seconds = share if self._is_harmless(request) else left
        try:
            trip = RoundTrip(*_line(address, request), self._trust)
            answer = trip.make(seconds, share)
        except BrokerError as error:
            error.details.setdefault("sent", False)
            raise
        if isinstance(answer, Lost):
            return answer
        return judged(urlsplit(address).netloc, request, answer)

    def _may_go_on(self, request: requests.PreparedRequest, lost: Lost) -> bool:
        if isinstance(lost.error, RateLimited):  # the limit is the cluster's
            return False
        if not lost.sent or self._is_harmless(request):
            return True
        # A login, at a standby that has most likely not passed it on. If it has, one token more was
        # made, with nothing under it.
        return isinstance(lost.error, ServerStandby) and _TOKEN not in request.headers

    def _is_harmless(self, request: requests.PreparedRequest) -> bool:
        return not self._once and request.method in _HARMLESS


def _line(
    address: str, request: requests.PreparedRequest
) -> tuple[str, str, dict[str, str], bytes | None]:
    """Return what is sent to a server: method, URL, headers and body."""
    headers = {name.lower(): str(value) for name, value in request.headers.items()}
    body = cast("bytes | None", request.body)  # hvac sends JSON, or nothing
    return str(request.method), address + request.path_url, headers, body


def _is_brief(lost: Lost) -> bool:
    """Return whether what is wrong may be over in a moment."""
    return lost.again and not isinstance(lost.error, BackendTimeout)


def _together(name: str, lost: dict[str, Lost]) -> BackendUnavailable:
    """Return one error for all servers that were asked."""
    errors = [each.error for each in lost.values()]
    error = errors[-1]
    if len(errors) > 1 and not isinstance(error, RateLimited):
        alike = len({type(each) for each in errors}) == 1
        kind = type(error) if alike else ServerDown
        said = "; ".join(each.message for each in errors)
        error = kind(f"no server of {name} serves: {said}", hint=error.hint if alike else None)
    error.details.update(
        sent=any(each.sent for each in lost.values()),
        temporary=any(each.again for each in lost.values()),
        servers=list(lost),
    )
    return error
