"""What is set up in a Vault by who may do everything in it?

What is mounted gets a name of its own each time, so that tests share one server and nothing in it.
"""

from __future__ import annotations

import itertools
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from tests.support.daemon import wait_until
from tests.support.require import require_namespaces
from tests.support.vault_root import Root, hvac

_numbers = itertools.count(1)


class Mounted(NamedTuple):
    """An auth method with one role in it.

    Attributes:
        mount: Where it is mounted, below ``auth/``.
        role: The role's name.
    """

    mount: str
    role: str


class Admin(Root):
    """All that root may do."""

    # Secrets

    def engine(self, kind: str, **options: Any) -> str:
        """Mount a secrets engine, and return where."""
        mount = self._fresh(kind)
        self.write(f"sys/mounts/{mount}", type=kind, **options)
        return mount

    def kv(self, version: int = 2) -> str:
        """Mount a KV engine of a version, and return where, once it serves."""
        mount = self.engine("kv", options={"version": str(version)})
        wait_until(lambda: self._serves(mount))
        return mount

    def put(self, mount: str, path: str, **fields: Any) -> int:
        """Put a KV 2 secret, and return its new version."""
        return int(self.write(f"{mount}/data/{path}", data=fields)["data"]["version"])

    def pki(self, ttl: str = "60s", max_ttl: str = "120s") -> str:
        """Mount a PKI engine whose role ``app`` makes leases; return where.

        A certificate comes from writing ``common_name`` to ``MOUNT/issue/app``.
        """
        mount = self.engine("pki")
        self.write(f"{mount}/root/generate/internal", common_name="the tests", key_type="ec")
        role = {"allow_any_name": True, "key_type": "ec", "generate_lease": True, "no_store": False}
        self.write(f"{mount}/roles/app", **role, ttl=ttl, max_ttl=max_ttl)
        return mount

    # Who may do what

    def policy(self, rules: Mapping[str, Sequence[str]]) -> str:
        """Write a policy, from path to capabilities, and return its name."""
        name = self._fresh("policy")
        parts = (_rule(path, capabilities) for path, capabilities in rules.items())
        self.write(f"sys/policies/acl/{name}", policy="\n".join(parts))
        return name

    def token(self, *policies: str, **terms: Any) -> dict[str, Any]:
        """Create a token, and return the whole ``auth`` of the answer.

        Args:
            policies: Their names.
            terms: Such as ``ttl``, ``period``, ``type`` (``batch``), ``explicit_max_ttl``.
        """
        made = self.write("auth/token/create", policies=policies, no_parent=True, **terms)
        return dict(made["auth"])

    def auth(self, kind: str) -> str:
        """Mount an auth method, and return where."""
        mount = self._fresh(kind)
        self.write(f"sys/auth/{mount}", type=kind)
        return mount

    def role(self, mount: str, policies: Sequence[str], **terms: Any) -> Mounted:
        """Write a role of an auth method that has such."""
        name = self._fresh("role")
        self.write(f"auth/{mount}/role/{name}", token_policies=list(policies), **terms)
        return Mounted(mount, name)

    def jwt(self, issuer: str, audience: str, *policies: str, **terms: Any) -> Mounted:
        """Let who an issuer signs for log in; the issuer publishes its keys by discovery."""
        mount = self.auth("jwt")
        self.write(f"auth/{mount}/config", oidc_discovery_url=issuer)
        bound = {"role_type": "jwt", "user_claim": "sub", "bound_audiences": [audience]}
        return self.role(mount, policies, **bound, **terms)

    def approle(self, *policies: str, **terms: Any) -> Mounted:
        """Let who has a secret id log in."""
        return self.role(self.auth("approle"), policies, **terms)

    def role_id(self, at: Mounted) -> str:
        """Return the id of an AppRole."""
        return str(self.read(f"auth/{at.mount}/role/{at.role}/role-id")["role_id"])

    def secret_id(self, at: Mounted, **terms: Any) -> str:
        """Return a new secret id of an AppRole."""
        return str(
            self.write(f"auth/{at.mount}/role/{at.role}/secret-id", **terms)["data"]["secret_id"]
        )

    def wrapped_secret_id(self, at: Mounted, ttl: str = "60s") -> str:
        """Return a token that wraps a new secret id, to be opened once."""
        path = f"auth/{at.mount}/role/{at.role}/secret-id"
        return str(self.root.write_data(path, data={}, wrap_ttl=ttl)["wrap_info"]["token"])

    def certificates(self, authority: str, *policies: str, **terms: Any) -> Mounted:
        """Let who has a certificate (PEM) log in, or who has one that it signed."""
        mount, name = self.auth("cert"), self._fresh("role")
        self.write(
            f"auth/{mount}/certs/{name}",
            certificate=authority,
            token_policies=list(policies),
            **terms,
        )
        return Mounted(mount, name)

    def userpass(self, password: str, *policies: str, **terms: Any) -> Mounted:
        """Let a user of a name log in with a password; the role is the user's name."""
        mount, name = self.auth("userpass"), self._fresh("user")
        self.write(
            f"auth/{mount}/users/{name}", password=password, token_policies=list(policies), **terms
        )
        return Mounted(mount, name)

    def kubernetes(self, api: str, audience: str, *policies: str, **terms: Any) -> Mounted:
        """Let every service account log in whose token a Kubernetes API server finds good."""
        mount = self.auth("kubernetes")
        # It runs in no pod, where it would find both of these.
        authority = self.read(f"{self.pki()}/cert/ca")["certificate"]
        config = {"disable_local_ca_jwt": True, "kubernetes_ca_cert": authority}
        self.write(f"auth/{mount}/config", kubernetes_host=api, **config)
        bound = {
            "bound_service_account_names": ["*"],
            "bound_service_account_namespaces": ["*"],
            "audience": audience,
        }
        return self.role(mount, policies, **bound, **terms)

    # Where, and how much

    def has_namespaces(self) -> bool:
        """Return whether this server knows of namespaces: HashiCorp's free one does not."""
        try:
            self.root.list("sys/namespaces")
        except hvac.exceptions.VaultError:
            return False
        return True

    @contextmanager
    def within(self) -> Generator[Admin]:
        """Make a namespace, where there can be one, and yield what may do everything in it."""
        require_namespaces(self.has_namespaces())
        name = self._fresh("team")
        self.write(f"sys/namespaces/{name}")
        inner = Admin(self.url, self._token, self.ca_file, name)
        try:
            yield inner
        finally:
            inner.disconnect()

    @contextmanager
    def quota(self, path: str, rate: float = 1, interval: str = "1s") -> Generator[None]:
        """Let a path be asked so many times in an interval; the answer to more is 429."""
        name = self._fresh("quota")
        self.write(f"sys/quotas/rate-limit/{name}", path=path, rate=rate, interval=interval)
        try:
            yield
        finally:
            self.delete(f"sys/quotas/rate-limit/{name}")

    def _serves(self, mount: str) -> bool:
        """Return whether a new KV engine is done with making itself one of version 2."""
        try:
            self.root.list(f"{mount}/metadata")
        except hvac.exceptions.InvalidRequest:
            return False
        return True

    def _fresh(self, kind: str) -> str:
        return f"{kind}-{next(_numbers)}"


def _rule(path: str, capabilities: Sequence[str]) -> str:
    listed = ", ".join(f'"{each}"' for each in capabilities)
    return f'path "{path}" {{ capabilities = [{listed}] }}'
