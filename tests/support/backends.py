"""A backend that a test steers: what it holds, how long it takes, and how it fails."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field

from brokerd.model import BoundedBy, Credential, Delivery, Secret, Whom
from brokershim.errors import BackendRefused, BrokerError, NotFound, SecretNotFound

_SECONDS = 10.0
WHOM = Whom("5e551011", 4711, "/usr/bin/python3", "/home/me/app")


@dataclass
class FakeBackend:
    """Holds one key for each name, or mints one for each lease.

    Attributes:
        keys: Name -> key; its version counts the changes made by `rotate`.
        shared: Secret -> the key that serves it, where that is not one of its own.
        minting: Whether each fetch makes a credential that has to be revoked.
        delivery: How every key stands in a request.
        life: Gives when a credential dies.
        refresh: Gives when a newer one is to be fetched.
        floor: What each credential has as its floor, in seconds.
        exchanging: Whether each fetch makes a new key that dies by itself.
        risk: What ends all that is made; None where nothing does.
        tells: Whether `revision` and `describe` tell of a rotation.
        max_staleness: How long a key is served after this was last heard, in seconds.
        watch_seconds: How often `newest` is called, in seconds.
        failure: What everything but `revoke` raises.
        lost_answer: What a fetch raises once its key is made.
        revoke_failures: What `revoke` raises, once each.
        gate: While it is clear, a fetch that has read its key waits, and so do `renew`, `newest`
            and `revoke`.
        prepared: How often it was asked to prepare.
        live: What was made, and nothing has ended yet.
        renewals: What was renewed, and for how many seconds.
        looks: How often it was asked for the newest version.
        lost_logins: How many logins ended that it made keys under.
    """

    keys: dict[str, bytes] = field(default_factory=lambda: {"a": b"key-1"})
    shared: dict[str, str] = field(default_factory=dict)
    minting: bool = False
    delivery: Delivery = field(default_factory=Delivery)
    max_ttl: float = 900.0
    life: Callable[[], float | None] = lambda: None
    refresh: Callable[[], float | None] = lambda: None
    floor: float = 30.0
    exchanging: bool = False
    risk: str | None = "login-1"
    tells: bool = True
    max_staleness: float | None = None
    watch_seconds: float = 30.0
    failure: BrokerError | None = None
    lost_answer: Exception | None = None
    revoke_failures: list[BrokerError] = field(default_factory=list)
    gate: threading.Event = field(default_factory=threading.Event)
    reading: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    fetches: int = 0
    makers: list[Whom] = field(default_factory=list)
    refusals: int = 0
    prepared: int = 0
    looks: int = 0
    lost_logins: int = 0
    live: dict[str, str | None] = field(default_factory=dict)
    renewals: list[tuple[str, float]] = field(default_factory=list)
    revoked: list[str] = field(default_factory=list)
    version: int = 1
    numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    def __post_init__(self) -> None:
        self.gate.set()

    def rotate(self, name: str = "a", key: bytes | None = b"key-2") -> None:
        """Change a key, or with None take it away."""
        self.version += 1
        if key is None:
            del self.keys[name]
        else:
            self.keys[name] = key

    def revision(self) -> Hashable:
        """Count the changes."""
        return self.version if self.tells else 0

    def generation(self) -> Hashable:
        """Count the changes, and the logins that ended otherwise."""
        return self.revision(), self.lost_logins

    def key_of(self, name: str) -> Hashable:
        """Name the key that serves a secret."""
        return self.shared.get(name, name)

    def describe(self, name: str) -> Secret:
        """Describe a secret."""
        self._check(name)
        version = "" if self.exchanging or not self.tells else str(self.version)
        return Secret(
            name, "", ("host",), "fake", self.max_ttl, version, self._bounded_by, self.delivery
        )

    def fetch(self, name: str) -> Credential:
        """Return a key, as it was when the fetch began."""
        self._check(name)
        self.fetches += 1
        key, version = self.keys[name], str(self.version)
        self.reading.release()
        assert self.gate.wait(_SECONDS)
        upstream = None
        if self.minting or self.exchanging:
            number = next(self.numbers)
            key, version = key + b"-%d" % number, f"upstream-{number}"
            upstream = self._made(version) if self.minting else None
        return Credential(
            key,
            version,
            self._bounded_by,
            self.life(),
            upstream,
            self.refresh(),
            self.floor,
            self.max_staleness,
        )

    def makes(self, name: str) -> bool:
        """Tell whether each lease gets a key of its own."""
        del name
        return self.minting

    def prepare(self, name: str) -> str | None:
        """Say what ends all that a fetch makes."""
        self._check(name)
        self.prepared += 1
        return self.risk

    def make(self, name: str, risk: str | None, whom: Whom) -> Credential:
        """Return a key that what it was prepared for ends."""
        assert risk == self.risk
        self.makers.append(whom)
        return self.fetch(name)

    def renew(self, upstream: str, seconds: float) -> float:
        """Let a key live on."""
        assert self.gate.wait(_SECONDS)
        if self.failure is not None:
            raise self.failure
        if upstream not in self.live:
            raise NotFound(f"{upstream} is over")
        self.renewals.append((upstream, seconds))
        dies = self.life()
        assert dies is not None
        return dies

    def newest(self, name: str) -> str:
        """Return the version that a fetch would bring."""
        self.looks += 1
        assert self.gate.wait(_SECONDS)
        self._check(name)
        return str(self.version)

    def _made(self, upstream: str) -> str:
        """Make a key, unless what it would be made under has ended."""
        if self.risk in self.revoked:
            raise BackendRefused("the login is over")
        self.live[upstream] = self.risk
        if self.lost_answer is not None:
            raise self.lost_answer
        return upstream

    @property
    def _bounded_by(self) -> BoundedBy:
        if self.exchanging:
            return BoundedBy.PROVIDER
        return BoundedBy.BACKEND if self.minting else BoundedBy.BROKER

    def revoke(self, upstream: str) -> None:
        """End a credential."""
        assert self.gate.wait(_SECONDS)
        if self.revoke_failures:
            raise self.revoke_failures.pop(0)
        self.revoked.append(upstream)
        ended = {upstream, *(each for each, risk in self.live.items() if risk == upstream)}
        self.live = {each: risk for each, risk in self.live.items() if each not in ended}

    def _check(self, name: str) -> None:
        if self.failure is not None:
            self.refusals += 1
            raise self.failure
        if name not in self.keys:
            raise SecretNotFound(f"there is no secret {name}")
