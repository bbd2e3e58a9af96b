"""Runs a real Vault or OpenBao on loopback, never as root: for development, with TLS, or on raft.

`BAO_BIN` or `VAULT_BIN` names the program; without either it is OpenBao's, of the wheel. Where the
two differ, the server is asked for what it can do.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import urllib3

from tests.support.daemon import wait_until
from tests.support.vault_admin import Admin
from tests.support.vault_process import Process, free_address, give, own_folder

ROOT_TOKEN = "root"
_SECONDS = 20.0
_UNSEAL_KEY = re.compile(r"Unseal Key: (\S+)")
_RAFT = """
storage "raft" {{
  path = "{folder}/raft"
  node_id = "one"
  performance_multiplier = 1
}}
listener "tcp" {{
  address = "{address}"
  tls_disable = true
}}
api_addr = "http://{address}"
cluster_addr = "https://{cluster}"
disable_mlock = true
"""


class Server(Admin):
    """One running server, and all that root may do in it.

    Attributes:
        process: Its process.
    """

    def __init__(
        self, process: Process, token: str, unseal_key: str, ca_file: Path | None = None
    ) -> None:
        scheme = "http" if ca_file is None else "https"
        super().__init__(f"{scheme}://{process.address}", token, ca_file)
        self.process, self._unseal_key = process, unseal_key

    def seal(self) -> None:
        """Seal it: from now on it answers 503."""
        self.root.sys.seal()

    def unseal(self) -> None:
        """Unseal it, and wait until it serves."""
        self.root.sys.submit_unseal_key(self._unseal_key)
        wait_until(lambda: _health(self.url, self.ca_file) == 200, _SECONDS)

    def restart(self) -> None:
        """Start it once more after a kill, and wait until it answers; it is sealed then."""
        self.process.start()
        wait_until(lambda: _health(self.url, self.ca_file) is not None, _SECONDS)


@contextmanager
def dev_server() -> Generator[Server]:
    """Run a server in its development mode, all in memory; it ends with the block."""
    with own_folder() as folder, _process(folder, free_address(), "-dev") as process:
        yield from _serving(process, None)


@contextmanager
def tls_server() -> Generator[Server]:
    """Run the same with TLS; it makes its own authority, which is `Server.ca_file`."""
    with own_folder() as folder:
        arguments = "-dev-tls", f"-dev-tls-cert-dir={folder}"
        with _process(folder, free_address(), *arguments) as process:
            wait_until(lambda: _is_whole(folder), _SECONDS)
            (made,) = folder.glob("*ca.pem")
            with tempfile.TemporaryDirectory(prefix="authority-") as own:
                # What the server's own user could change is no authority.
                authority = Path(own) / "ca.pem"
                authority.write_bytes(made.read_bytes())
                yield from _serving(process, authority)


@contextmanager
def raft_server() -> Generator[Server]:
    """Run a server that keeps what it has on a disk: it lives on after `Process.kill`."""
    with own_folder() as folder:
        address, config = free_address(), folder / "server.hcl"
        config.write_text(_RAFT.format(folder=folder, address=address, cluster=free_address()))
        config.chmod(0o644)
        (folder / "raft").mkdir()
        give(folder / "raft")
        with Process(folder, address, [f"-config={config}"]) as process:
            yield from _initialized(process)


def _initialized(process: Process) -> Generator[Server]:
    url = f"http://{process.address}"
    wait_until(lambda: _health(url, None) is not None, _SECONDS)
    nobody = Admin(url, "", None)
    made = nobody.root.sys.initialize(secret_shares=1, secret_threshold=1)
    nobody.disconnect()
    server = Server(process, made["root_token"], made["keys"][0])
    try:
        server.unseal()
        yield server
    finally:
        server.disconnect()


def _serving(process: Process, authority: Path | None) -> Generator[Server]:
    wait_until(lambda: _UNSEAL_KEY.search(process.log) is not None, _SECONDS)
    found = _UNSEAL_KEY.search(process.log)
    assert found
    server = Server(process, ROOT_TOKEN, found[1], authority)
    try:
        wait_until(lambda: _health(server.url, authority) == 200, _SECONDS)
        yield server
    finally:
        server.disconnect()


def _process(folder: Path, address: str, *arguments: str) -> Process:
    own = ["-dev-no-store-token", f"-dev-root-token-id={ROOT_TOKEN}"]
    return Process(folder, address, [*arguments, *own, f"-dev-listen-address={address}"])


def _health(url: str, authority: Path | None) -> int | None:
    """Return the status that a server gives of itself; None while it does not answer."""
    with urllib3.PoolManager(ca_certs=str(authority) if authority else None) as pool:
        try:
            return pool.request("GET", f"{url}/v1/sys/health", retries=False, timeout=2).status
        except urllib3.exceptions.HTTPError:
            return None


def _is_whole(folder: Path) -> bool:
    """Return whether a server has written down the authority that it makes."""
    return any(b"-----END CERTIFICATE-----" in each.read_bytes() for each in folder.glob("*ca.pem"))
