"""Runs OpenBao on loopback, as an issuer of identity tokens (its identity secrets engine)."""

from __future__ import annotations

import uuid
from collections.abc import Generator
from contextlib import contextmanager

from tests.support.vault import Server, dev_server

_POLICY = {"identity/oidc/token/*": ["read"]}
_PASSWORD = "of the job"


class Bao:
    """A server in its development mode: all in memory.

    Attributes:
        issuer: The ``iss`` of its tokens.
    """

    def __init__(self, server: Server) -> None:
        self._server = server
        self.issuer = f"{server.url}/v1/identity/oidc"

    def set_up(self, audience: str) -> None:
        """Let one user of its own have tokens for an audience."""
        jti = '{"jti": {{identity.entity.metadata.jti}}}'  # it gives none by itself
        role = {"key": "key-1", "client_id": audience, "ttl": "5m", "template": jti}
        self._server.write("identity/oidc/key/key-1", allowed_client_ids=["*"])
        self._server.write("identity/oidc/role/job", **role)
        self._job = self._server.userpass(_PASSWORD, self._server.policy(_POLICY))

    def issue(self) -> str:
        """Let its identity engine sign a token for that user."""
        user = f"auth/{self._job.mount}/login/{self._job.role}"
        login = self._server.write(user, password=_PASSWORD)["auth"]
        jti = {"jti": str(uuid.uuid4())}
        self._server.write(f"identity/entity/id/{login['entity_id']}", metadata=jti)
        answer = self._server.client(login["client_token"]).read("identity/oidc/token/job")
        return str(answer["data"]["token"])


@contextmanager
def bao() -> Generator[Bao]:
    """Run a server; it ends with the block. It never runs as root."""
    with dev_server() as server:
        yield Bao(server)
