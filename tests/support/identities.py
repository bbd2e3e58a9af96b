"""An identity that a person logs in to, where the person is a few files in a folder.

``NAME.state`` holds how it stands, as JSON; without it, it needs a login. ``NAME.answer`` ends a
login: ``yes``, or why not. ``NAME.no-device`` and ``NAME.down`` say what the provider cannot do,
``NAME.asks`` which number a person types for it here, ``NAME.slow`` that it does not answer in
time, ``NAME.changed`` that it became of no use,
``NAME.state-fails`` that nobody can say how it stands, ``NAME.keyring-hangs`` that nothing can be
forgotten; a logout goes on once there is no ``NAME.busy`` any more.
It is of the kind ``folder`` in the daemon that `tests.support.identity_daemon` runs.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Hashable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from brokerd.backends.people import Finding
from brokerd.identities.base import Mode, Standing, Token
from brokerd.model import BoundedBy, Credential, Secret
from brokerd.table import Table
from brokershim.errors import (
    BackendTimeout,
    IdentityUnavailable,
    LoginRefused,
    LoginRequired,
    ServerDown,
    UsageError,
)

URL = "http://127.0.0.1:9/authorize?state=of-the-test"
CODE = "WDJB-MJHT"
READY = Standing("ready", "https://id.example", "alice", 7200.0)
_POLL = 0.005


class FolderIdentity:
    """The identity; see above."""

    kind = "folder"

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self.folder = folder
        self.changes = 0

    def file(self, what: str) -> Path:
        """Return the file that says something."""
        return self.folder / f"{self.name}.{what}"

    def revision(self) -> Hashable:
        return self.changes

    def token(self, audience: str | None) -> Token:
        del audience
        if self.standing().state != "ready":
            raise LoginRequired(f"{self.name} needs a login")
        return Token("a-token", READY.issuer, READY.subject, 1e12)

    def standing(self) -> Standing:
        if self.file("state-fails").exists():
            raise ServerDown("id.example cannot be reached")
        state = self.file("state")
        return Standing(**json.loads(state.read_text())) if state.exists() else Standing("login")

    def stands(self, standing: Standing) -> None:
        """Let it stand so."""
        new = self.file("new")
        new.write_text(json.dumps(asdict(standing)))
        new.replace(self.file("state"))

    def answer(self, text: str) -> None:
        """End the login that is under way."""
        new = self.file("new-answer")
        new.write_text(text)
        new.replace(self.file("answer"))

    def login(self, mode: Mode) -> FolderLogin:
        if self.file("down").exists():
            raise ServerDown("id.example cannot be reached")
        if mode == "device" and self.file("no-device").exists():
            raise IdentityUnavailable("the provider offers no code for another device")
        if self.file("asks").exists():
            return TypedLogin(self, mode)
        return FolderLogin(self, mode)

    def logout(self) -> None:
        if self.file("keyring-hangs").exists():
            raise BackendTimeout("the keyring does not answer")
        if self.file("busy").exists():
            self.file("at-it").touch()
            while self.file("busy").exists():
                time.sleep(_POLL)
        self.changes += 1
        self.file("state").unlink(missing_ok=True)
        if self.file("slow").exists():
            raise BackendTimeout("id.example does not answer")
        if self.file("down").exists():
            raise ServerDown("id.example cannot be reached")
        if self.file("changed").exists():
            raise IdentityUnavailable("id.example does not do PKCE any more")


class FolderLogin:
    """A login to it."""

    def __init__(self, identity: FolderIdentity, mode: Mode) -> None:
        special = identity.file("url")
        self.url = special.read_text() if special.exists() else URL
        self.user_code = CODE if mode == "device" else None
        self.seconds = 300.0
        self._identity = identity
        self._cancelled = threading.Event()

    def run(self) -> Standing:
        answer = self._identity.file("answer")
        while not answer.exists():
            if self._cancelled.wait(_POLL):
                raise LoginRefused("the login was given up")
        said = answer.read_text()
        answer.unlink()
        if said != "yes":
            raise LoginRefused(said)
        self._identity.changes += 1
        self._identity.stands(READY)
        return READY

    def cancel(self) -> None:
        self._cancelled.set()


class TypedLogin(FolderLogin):
    """One for which a person types a number."""

    def __init__(self, identity: FolderIdentity, mode: Mode) -> None:
        super().__init__(identity, mode)
        self.url, self.user_code = "", None
        self.asks = identity.file("asks").read_text()

    def answer(self, value: str) -> None:
        if not value.isdecimal():
            raise UsageError("that is no number")
        self._identity.answer("yes")


class MachineIdentity:
    """An identity that needs no person."""

    kind = "machine"

    def __init__(self, name: str) -> None:
        self.name = name

    def revision(self) -> Hashable:
        return 0

    def token(self, audience: str | None) -> Token:
        raise IdentityUnavailable(f"there is none for {audience}")

    def standing(self) -> Standing:
        return Standing("absent", reason="this is no such machine")


class TokenBackend:
    """A backend whose key is made of the identity's token."""

    def __init__(self, identity: Any) -> None:
        self._identity = identity

    def revision(self) -> Hashable:
        found: Hashable = self._identity.revision()
        return found

    def key_of(self, name: str) -> Hashable:
        return name

    def describe(self, name: str) -> Secret:
        return Secret(name, "", ("api.example",), "tokens", 900.0, "1", BoundedBy.PROVIDER)

    def fetch(self, name: str) -> Credential:
        value = f"key-of-{name}-by-{self._identity.token(None).value}"
        return Credential(value.encode(), "1", BoundedBy.PROVIDER)

    def revoke(self, upstream: str) -> None:
        """Do nothing: it makes none."""


class AskedBackend(TokenBackend):
    """A backend that a person asks, and gives something, and logs in to: all in files.

    ``NAME.given`` holds what it was given; while there is ``NAME.keyring-hangs``, nobody can tell.
    ``NAME.findings`` holds what it allows, as a JSON list, without which it is down.
    """

    wants = "a word that begins with w"

    def __init__(self, name: str, folder: Path) -> None:
        super().__init__(FolderIdentity(name, folder))
        self.account = self._identity

    def enrolled(self) -> bool:
        if self.account.file("keyring-hangs").exists():
            raise BackendTimeout("the keyring does not answer")
        return bool(self.account.file("given").exists())

    def enrol(self, value: str) -> None:
        if not value.startswith("w"):
            raise UsageError("that is no such word")
        self.account.file("given").write_text(value)

    def check(self) -> list[Finding]:
        findings = self.account.file("findings")
        if not findings.exists():
            raise ServerDown("corp.example cannot be reached")
        return [Finding(**each) for each in json.loads(findings.read_text())]


def build(name: str, table: Table, *more: Any) -> Any:
    """Build what a table describes, as the modules of `brokerd.kinds` do."""
    if more and table.optional_text("login"):
        return AskedBackend(name, Path(table.text("folder")))
    if more:
        _secrets, identities = more
        return TokenBackend(identities[table.text("identity")])
    folder = table.optional_text("folder")
    return MachineIdentity(name) if folder is None else FolderIdentity(name, Path(folder))
