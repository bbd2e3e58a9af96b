"""A login at a real server, with its time and its proofs in the test's hands."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any

from brokerd.backends.vault.client import Vault
from brokerd.backends.vault.login.base import Auth
from brokerd.backends.vault.login.proof import prove
from brokerd.backends.vault.servers import Servers
from brokerd.backends.vault.session import Session
from brokershim import clock
from tests.support.vault_admin import Admin, Mounted


class Time:
    """This machine's, and what was added to it: the server's own does not move along.

    Attributes:
        ahead: Seconds that were added.
    """

    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        return clock.now() + self.ahead

    def go_on(self, seconds: float) -> None:
        """Let time pass."""
        self.ahead += seconds


class Logins:
    """Logs in with a new secret id of an AppRole each time.

    Attributes:
        who: What `revision` gives; None for nobody, who cannot log in.
        made: What the logins brought so far.
        before: Called before each login.
        failure: What a login raises.
    """

    kind = "approle"

    def __init__(self, admin: Admin, at: Mounted, now: Callable[[], float]) -> None:
        self._admin, self._at, self._now = admin, at, now
        self.who: Hashable = "alice"
        self.made: list[Auth] = []
        self.before: Callable[[], object] = lambda: None
        self.failure: Exception | None = None

    def revision(self) -> Hashable:
        """Return who is logged in."""
        return self.who

    def login(self, vault: Vault) -> Auth:
        """Log in."""
        self.before()
        if self.failure is not None:
            raise self.failure
        proof = self._admin.role_id(self._at), self._admin.secret_id(self._at)
        self.made.append(prove(vault, self._at.mount, self._show(*proof), "", self._now))
        return self.made[-1]

    def _show(self, role_id: str, secret_id: str) -> Callable[[Any], object]:
        return lambda client: client.auth.approle.login(
            role_id, secret_id, use_token=False, mount_point=self._at.mount
        )


class LoggedIn:
    """A session of an AppRole, and what a test looks at.

    Attributes:
        at: The role.
        time: What the session takes for the time.
        logins: How it logs in.
        session: The session.
    """

    def __init__(self, admin: Admin, *policies: str, **terms: Any) -> None:
        self._admin = admin
        self.at = admin.approle(*(policies or ("default",)), **{"token_ttl": "60s", **terms})
        self.time = Time()
        self.logins = Logins(admin, self.at, self.time)
        self.vault = vault_of(admin)
        self.session = Session(self.vault, self.logins, self.time)

    def use(self) -> str:
        """Do something that needs a login; return the accessor of the token that did it."""
        return str(
            self.session.call(lambda client: client.auth.token.lookup_self())["data"]["accessor"]
        )

    def limit(self, ttl: str) -> None:
        """Let no renewal give a token more than this, from its beginning."""
        path = f"auth/{self.at.mount}/role/{self.at.role}"
        self._admin.write(path, token_ttl=ttl, token_max_ttl=ttl)

    def alive(self) -> list[bool]:
        """Return of each login so far whether the server knows its token."""
        return [self._admin.lives(each.token) for each in self.logins.made]


def vault_of(admin: Admin) -> Vault:
    """Return a server as a backend ``corp`` is configured with it."""
    return Vault("corp", Servers((admin.url,), admin.namespace or None))
