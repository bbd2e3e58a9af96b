"""How does an AppRole log in? (Vault, "AppRole auth method".)"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping

from brokerd.backends.vault.client import Vault
from brokerd.backends.vault.login.base import Auth
from brokerd.backends.vault.login.enrolled import Enrolled
from brokerd.backends.vault.login.proof import prove
from brokerd.backends.vault.login.secretid import SecretIds
from brokerd.backends.vault.login.settings import auth_mount
from brokerd.backends.vault.login.words import one_word
from brokerd.backends.vault.login.wrapping import Wrapping
from brokerd.identities.base import Identity
from brokerd.table import Table
from brokershim import clock


class AppRole:
    """Logs in with a role id, which is no secret, and a secret id, which is.

    Args:
        name: The backend's configured name.
        mount: Of the auth method, below ``auth/``.
        role_id: The role id.
        secret_ids: Gives the secret id.
        wants: What a person is asked for; empty where it comes by a file.
        now: The time, in seconds of `brokershim.clock.now`.
    """

    kind = "approle"

    def __init__(
        self,
        name: str,
        mount: str,
        role_id: str,
        secret_ids: SecretIds,
        wants: str = "",
        *,
        now: Callable[[], float] = clock.now,
    ) -> None:
        self.wants = wants
        self._name, self._mount, self._role_id, self._now = name, mount, role_id, now
        self._secret_ids = secret_ids
        self._times = 0

    def revision(self) -> Hashable:
        """Return how often a person gave a secret id."""
        return self._times

    def login(self, vault: Vault) -> Auth:
        """Log in; raises as `Method.login`."""
        secret_id = self._secret_ids.current(vault)
        return prove(
            vault,
            self._mount,
            lambda client: client.auth.approle.login(
                self._role_id, secret_id, use_token=False, mount_point=self._mount
            ),
            # The last: a wrapping token does not say in which namespace it was made.
            "see role_id; its secret id may be over, used up or destroyed, or another role's, and "
            "then put in the true one's place: have another one made",
            self._now,
        )

    def enrolled(self) -> bool:
        """Return whether there is a secret id; raises `KeyringUnavailable`."""
        return self._secret_ids.is_there()

    def enrol(self, value: str) -> None:
        """Keep what a person gave.

        Raises:
            UsageError: It is no such thing.
            KeyringUnavailable: The keyring does not keep it.
        """
        self._secret_ids.give(one_word(value, self.wants))
        self._times += 1


def build(name: str, table: Table, identities: Mapping[str, Identity]) -> AppRole:  # noqa: ARG001 - as of every login
    """Return the login that a table with ``login = "approle"`` describes.

    Raises:
        ConfigError: It has no ``role_id``; or no ``role``, whose secret ids are to be unwrapped.
    """
    mount, file = auth_mount(table, "approle"), table.optional_absolute_path("secret_id_file")
    wrapping, wants = None, "secret id"
    table.optional_text("role")  # only what is wrapped needs it
    if table.flag("wrapped", default=True):
        path = f"auth/{mount}/role/{table.text('role')}/secret-id"
        wrapping, wants = (
            Wrapping(f"the secret id of {name}", path),
            "wrapping token of a secret id",
        )
    secret_ids = SecretIds(name, wrapping, file, Enrolled(name))
    return AppRole(name, mount, table.text("role_id"), secret_ids, "" if file else wants)
