"""How is a key made for one lease by an engine of Vault, kept alive, and ended with it?

(Vault, "Lease, renew, and revoke"; HTTP API, "/sys/leases".)
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Hashable
from functools import partial
from typing import Any
from urllib.parse import quote

from brokerd.backends.reply import number, part, text
from brokerd.backends.vault.capabilities import allowed, lacking, rule
from brokerd.backends.vault.client import hvac
from brokerd.backends.vault.leaseid import lease_in
from brokerd.backends.vault.session import Session
from brokerd.backends.vault.terms import DynamicTerms, Scalar
from brokerd.model import BoundedBy, Credential
from brokershim import clock
from brokershim.errors import (
    BackendRefused,
    BackendUnavailable,
    BrokerError,
    LeaseNotFound,
    NotFound,
    SecretNotFound,
    ServerDown,
)

REVOKE, RENEW, LOOK_UP = "sys/leases/revoke", "sys/leases/renew", "sys/leases/lookup"
REVOKE_ACCESSOR = "auth/token/revoke-accessor"
_LEASE, _ACCESSOR = "lease/", "accessor/"
_OWN_FAULT = "internal error"
"""What Vault says where something of its own failed, such as the line in its audit about a lease
that is made already. Any other failure is that of an engine, which has then made nothing; to end a
whole login for it would let one database that is away end the keys of all others."""


class DynamicSecrets:
    """Keys that engines make.

    Args:
        name: The backend's configured name, for messages.
        session: Asks the server.
        now: The time, in seconds of `brokershim.clock.now`.
    """

    def __init__(self, name: str, session: Session, now: Callable[[], float] = clock.now) -> None:
        self._name, self._session, self._now = name, session, now
        self._may_end: Hashable = None
        self._under: dict[str, str | None] = {}
        self._lock = threading.Lock()

    def prepare(self) -> str | None:
        """Return what ends all that is made from now on; see `MintingBackend.prepare`.

        Raises:
            BackendRefused: The token may not end what it would make: so it makes nothing.
            BrokerError: As `Session.call`.
        """
        accessor = self._session.risk()
        login = accessor, self._session.generation()
        if self._may_end != login:
            self._check_that_it_may_end(accessor)
            self._may_end = login
        return None if accessor is None else _ACCESSOR + accessor

    def make(self, terms: DynamicTerms, risk: str | None) -> Credential:
        """Return a key that nobody had before.

        Args:
            terms: Which.
            risk: What `prepare` returned: it is made so that this ends it, or not at all.

        Raises:
            SecretNotFound: The engine makes none there, or its answer has no such field.
            BackendRefused: The token may not have it made, or nothing would end it.
            BrokerError: As `Session.call`.
        """
        accessor = None if risk is None else risk.removeprefix(_ACCESSOR)
        asked_at = self._now()
        answer = self._ask(terms, accessor)
        lease = lease_in(answer, terms)
        self._take_in(terms, lease, accessor)
        return Credential(
            self._value(terms, lease, answer),
            secrets.token_hex(4),
            BoundedBy.BACKEND,
            expires_at=self._end(lease, asked_at, number(answer, "lease_duration")),
            upstream=_LEASE + lease,
        )

    def renew(self, upstream: str, seconds: float) -> float:
        """Return when a key dies that was to live on; see `MintingBackend.renew`."""
        lease, asked_at = upstream.removeprefix(_LEASE), self._now()
        work = partial(_renew, lease, max(int(seconds), 1))
        left = self._session.call(work, "renewing a lease")
        if left is None:
            raise LeaseNotFound(f"a lease of {self._name} is over", hint="acquire another")
        return self._end(lease, asked_at, left)

    def revoke(self, upstream: str) -> None:
        """End a key, or all that was made under a login; one that is over is no error.

        Raises:
            BrokerError: As `Session.call`.
        """
        if upstream.startswith(_LEASE):
            self._give_back(upstream.removeprefix(_LEASE))
        elif upstream.startswith(_ACCESSOR):
            self._session.revoke_accessor(upstream.removeprefix(_ACCESSOR))

    def _check_that_it_may_end(self, accessor: str | None) -> None:
        paths = [REVOKE] if accessor is None else [REVOKE, REVOKE_ACCESSOR]
        work = partial(allowed, paths=paths)
        found = self._session.call(work, "asking what the token may do", under=accessor)
        rules = [rule(path, ["update"]) for path in paths if lacking(found[path], ["update"])]
        if rules:
            raise BackendRefused(
                f"{self._name} may make keys, and not end them: so none is made",
                hint=f"add to the policy of its role: {'; '.join(rules)}",
            )

    def _ask(self, terms: DynamicTerms, accessor: str | None) -> object:
        work, what = partial(_make, terms), f"having {terms.secret.name} made at {terms.path}"
        try:
            return self._session.call(work, what, once=True, under=accessor)
        except (NotFound, ServerDown) as error:
            failure = _meant(terms, error)
            if failure is None:
                raise
        raise failure

    def _take_in(self, terms: DynamicTerms, lease: str, accessor: str | None) -> None:
        """Refuse a lease that is there already: the end of one of its holders would be both's."""
        with self._lock:
            known = lease in self._under
            self._under.setdefault(lease, accessor)
        if known:
            raise BackendRefused(
                f"{terms.path} of {self._name} makes no key of its own for each lease",
                hint="something before the server repeats its answers: name the server itself in "
                "config.toml",
            )

    def _value(self, terms: DynamicTerms, lease: str, answer: object) -> bytes:
        fields = part(answer, "data")
        value = text(fields, terms.field)
        if value:
            return value.encode("utf-8", "surrogatepass")  # JSON may hold half a character
        self._take_back(terms, lease)
        fault = "is no text" if terms.field in fields else f"is not among the {len(fields)}"
        raise SecretNotFound(
            f"the field {terms.field} of {terms.secret.name} {fault} in what {terms.path} answers",
            hint="correct `field` in its table in config.toml",
        )

    def _end(self, lease: str, asked_at: float, seconds: int | None) -> float:
        """Return when a key dies: with its lease, or with the login that it was made under."""
        if seconds is None:
            raise BackendUnavailable(f"{self._name} does not say how long a lease lives")
        login_ends = self._session.expires_at(self._under.get(lease))
        ends = asked_at + seconds
        return ends if login_ends is None else min(ends, login_ends)

    def _take_back(self, terms: DynamicTerms, lease: str) -> None:
        """End what was made, and is of no use."""
        try:
            self._give_back(lease)
        except BrokerError:
            # Of what went wrong nothing is said: it would be about another request, and this one
            # did make something.
            raise ServerDown(f"a key of {terms.secret.name} was made, and not ended yet") from None

    def _give_back(self, lease: str) -> None:
        self._session.call(partial(_revoke, lease), "ending a lease")
        self._under.pop(lease, None)


def _meant(terms: DynamicTerms, error: NotFound | ServerDown) -> BrokerError | None:
    """Return what an error means for a key; None where it means what it says."""
    name, reason = terms.secret.name, str(error.details.get("reason", ""))
    if type(error) is NotFound:
        return SecretNotFound(
            f"{name} is not in {terms.secret.backend}: there is nothing at {terms.path}",
            hint="correct `path` in its table in config.toml",
        )
    if isinstance(error, NotFound) or not reason or _OWN_FAULT in reason:
        return None
    return BackendUnavailable(
        f"{terms.path} of {terms.secret.backend} makes no key of {name}: {reason}",
        hint="see at the server why that engine fails, or what it makes its keys in",
        details={"sent": False},
    )


def _make(terms: DynamicTerms, client: Any) -> object:
    url = f"/v1/{quote(terms.path)}"
    if terms.method == "write":
        return client.adapter.post(url, json=dict(terms.parameters))
    query = {name: _in_query(value) for name, value in terms.parameters.items()}
    return client.adapter.get(url, params=query)


def _in_query(value: Scalar) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _renew(lease: str, seconds: int, client: Any) -> int | None:
    """Return how many seconds a lease lives on; None where it is over."""
    try:
        return number(client.sys.renew_lease(lease, increment=seconds), "lease_duration")
    except hvac.exceptions.InvalidRequest:
        # It is over, or it cannot be renewed: the server says which, in words that may change.
        pass
    return _left(lease, client)


def _left(lease: str, client: Any) -> int | None:
    """Return how many seconds a lease has left; None where it is over."""
    try:
        found = client.sys.read_lease(lease)
    except hvac.exceptions.InvalidRequest:
        return None
    return number(part(found, "data"), "ttl")


def _revoke(lease: str, client: Any) -> None:
    # sync: what it made is ended as the answer comes, and not some time after.
    client.adapter.put("/v1/sys/leases/revoke", json={"lease_id": lease, "sync": True})
