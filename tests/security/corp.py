"""A daemon whose keys come from a Vault, what stands between the two, and the root of a session."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import pytest

from brokershim.errors import BrokerError
from tests.support.daemon import Daemon, World, new_world, started, wait_until
from tests.support.puppet import Puppet, Stage
from tests.support.vault import Server
from tests.support.vault_admin import Mounted
from tests.support.vault_tap import Tap

STATIC, MADE = "openai/dev", "gateway/app"
KEY = "sk-proj-canary-of-a-vault-3e9d17c0a4"
PATH = "llm/openai"
_CONFIG = """
[store]
master_key = "passphrase"

[backend.corp]
kind = "vault"
address = "{address}"
watch = "1s"
max_staleness = "3s"
{login}

[secret."openai/dev"]
backend = "corp"
mount = "{kv}"
path = "llm/openai"
field = "key"

[secret."gateway/app"]
backend = "corp"
engine = "dynamic"
path = "{pki}/issue/app"
method = "write"
parameters = {{ common_name = "app.example" }}
field = "serial_number"
hosts = ["gateway.example.com"]
"""
_APPROLE = """
login = "approle"
auth_mount = "{mount}"
role_id = "{role_id}"
role = "{role}"
secret_id_file = "{file}"
wrapped = {wrapped}
"""


class Corp:
    """All of it.

    Attributes:
        world: The daemon's folders.
        server: The Vault.
        tap: What the daemon takes for it.
        kv: Where its static keys are.
        policy: What the daemon's login may do, by name.
        role: Which AppRole it logs in as.
        stage: Where processes come from.
    """

    def __init__(self, world: World, server: Server, tap: Tap, stage: Stage) -> None:
        self.world, self.server, self.tap, self.stage = world, server, tap, stage
        self.kv, self._pki = server.kv(), server.pki("600s", "600s")
        server.put(self.kv, PATH, key=KEY)
        self.policy = server.policy(self.rules())
        self.role = server.approle(self.policy, token_ttl="10m")
        self.secret_id = world.root.parent / "secret-id"
        self.configure(self.approle())
        self.deliver(server.secret_id(self.role))
        world.grant("*")

    def rules(self) -> dict[str, list[str]]:
        """Return what the login needs, from path to capabilities."""
        return {
            f"{self.kv}/data/{PATH}": ["read"],
            f"{self.kv}/metadata/{PATH}": ["read"],
            f"{self._pki}/issue/app": ["update"],
            "sys/leases/revoke": ["update"],
            "auth/token/revoke-accessor": ["update"],
        }

    def approle(self, *, wrapped: bool = False, at: Mounted | None = None) -> str:
        """Return the login's part of the configuration."""
        role = at or self.role
        return _APPROLE.format(
            mount=role.mount,
            role=role.role,
            role_id=self.server.role_id(role),
            file=self.secret_id,
            wrapped=str(wrapped).lower(),
        )

    def configure(self, login: str, address: str | None = None) -> None:
        """Write the configuration."""
        values = {"address": address or self.tap.url, "kv": self.kv, "pki": self._pki}
        self.world.write_config("config.toml", _CONFIG.format(login=login, **values))

    def deliver(self, secret_id: str) -> None:
        """Put what it logs in with where it is looked for."""
        self.secret_id.touch(mode=0o600)
        self.secret_id.write_text(secret_id)

    def root(self) -> Puppet:
        """Return the root of a new session for both secrets."""
        made = self.stage.enter()
        made.call("session.open", program="/bin/true", env={"A": STATIC, "B": MADE})
        return made

    def leases(self) -> list[str]:
        """Return the server's own list of what it made for us."""
        return self.server.leases(f"{self._pki}/")

    def lives(self) -> list[str]:
        """Return of the tokens that went by those that the server still knows."""
        return [each for each in self.tap.tokens() if self.server.lives(each)]

    @contextmanager
    def killed(self) -> Generator[Daemon]:
        """Run a daemon that is killed in the end."""
        with started(self.world) as daemon:
            yield daemon
            daemon.kill()


@contextmanager
def new_corp(server: Server) -> Generator[Corp]:
    """Set it all up; the daemon is started by who uses it."""
    with new_world() as world, Tap(server.process.address) as tap, Stage(world) as stage:
        yield Corp(world, server, tap, stage)


def lease(root: Puppet, name: str) -> dict[str, Any]:
    return root.call("lease.acquire", secret=name)


def refused(root: Puppet, name: str) -> BrokerError:
    """Return what a process gets in a key's place."""
    with pytest.raises(BrokerError) as caught:
        lease(root, name)
    return caught.value


def ended(corp: Corp, reason: str) -> None:
    """Wait until leases have ended for a reason."""
    wait_until(lambda: any(e["reason"] == reason for e in corp.world.events("lease.ended")))
