"""Runs a real PostgreSQL on loopback, never as root, for the database engine of a Vault."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.support.daemon import wait_until
from tests.support.require import require_program
from tests.support.vault_admin import Admin
from tests.support.vault_process import free_address, own_folder, plain_uid

_SECONDS = 20.0
_OWNER, _PASSWORD = "postgres", "of the database's owner"
_DEBIAN = Path("/usr/lib/postgresql")
_CREATE = "CREATE ROLE \"{{name}}\" LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}'"


class Postgres:
    """One running server.

    Attributes:
        address: Where it listens, as ``host:port``.
    """

    def __init__(self, folder: Path, address: str) -> None:
        self.address, self._folder = address, folder

    def users(self) -> set[str]:
        """Return the names of all users that a Vault made in it."""
        done = self._query(str(self._folder), _OWNER, "", "SELECT rolname FROM pg_roles")
        assert done.returncode == 0, done.stderr
        return {each for each in done.stdout.split() if each.startswith("v-")}

    def takes(self, user: str, password: str) -> bool:
        """Return whether a user can log in to it over the network."""
        host = self.address.split(":")[0]
        return self._query(host, user, password, "SELECT 1").returncode == 0

    def answers(self) -> bool:
        """Return whether it is up."""
        return self._query(str(self._folder), _OWNER, "", "SELECT 1").returncode == 0

    def mount(self, vault: Admin, ttl: str = "60s", max_ttl: str = "120s") -> str:
        """Mount a database engine for it in a Vault; return what is read to get a user.

        Args:
            vault: The Vault.
            ttl: How long a user lives at first.
            max_ttl: How long at the longest.
        """
        mount = vault.engine("database")
        login = "{{username}}:{{password}}"
        vault.write(
            f"{mount}/config/it",
            plugin_name="postgresql-database-plugin",
            allowed_roles="*",
            connection_url=f"postgresql://{login}@{self.address}/postgres?sslmode=disable",
            username=_OWNER,
            password=_PASSWORD,
        )
        lives = {"default_ttl": ttl, "max_ttl": max_ttl}
        vault.write(f"{mount}/roles/llm", db_name="it", creation_statements=[_CREATE], **lives)
        return f"{mount}/creds/llm"

    def _query(
        self, host: str, user: str, password: str, query: str
    ) -> subprocess.CompletedProcess[str]:
        port = self.address.split(":")[1]
        where = ["-h", host, "-p", port, "-U", user, "-d", "postgres"]
        return subprocess.run(
            [_program("psql"), "--no-psqlrc", "--no-password", "-A", "-t", *where, "-c", query],
            env={"PGPASSWORD": password},
            capture_output=True,
            text=True,
            check=False,
        )


@contextmanager
def postgres() -> Generator[Postgres]:
    """Run a server in a folder of its own; both end with the block."""
    with own_folder() as folder:
        address = free_address()
        _initialize(folder)
        # It keeps nothing past the test, so it need not wait for any disk.
        settings = ["-c", "fsync=off", "-k", str(folder), "-p", address.split(":")[1]]
        with _started(folder, ["postgres", "-D", str(folder / "data"), *settings]) as process:
            running = Postgres(folder, address)
            try:
                wait_until(running.answers, _SECONDS)
                yield running
            finally:
                # Not SIGTERM: it would wait until every client has gone.
                process.send_signal(signal.SIGINT)


def _initialize(folder: Path) -> None:
    """Make its files: through its socket anybody may be anybody, over the network nobody."""
    secret = folder / "password"
    secret.write_text(_PASSWORD)
    secret.chmod(0o644)
    how = ["--auth-local=trust", "--auth-host=scram-sha-256", f"--pwfile={secret}", "--no-sync"]
    who = ["-U", _OWNER, "-E", "UTF8", "--no-locale"]
    with _started(folder, ["initdb", "-D", str(folder / "data"), *how, *who]) as process:
        assert process.wait(_SECONDS) == 0, (folder / "initdb.log").read_text()


def _started(folder: Path, command: Sequence[str]) -> subprocess.Popen[bytes]:
    name, *arguments = command
    with (folder / f"{name}.log").open("wb") as log:
        return subprocess.Popen(
            [_program(name), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env={},
            cwd=folder,
            user=plain_uid(),
            group=plain_uid(),
            extra_groups=None if plain_uid() is None else [],
        )


def _program(name: str) -> str:
    """Return the path of one of PostgreSQL's programs; Debian has them in no PATH."""
    newest = max(_DEBIAN.glob(f"*/bin/{name}"), key=lambda path: int(path.parts[-3]), default=None)
    return str(newest) if newest else require_program(name, "apt-get install postgresql")
