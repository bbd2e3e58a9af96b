"""Where is a key of Vault measured? At a real server, with its own proxy and agent beside us."""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass

import urllib3

from bench.home import HOST, KEY, home_in_memory
from demo.home import Home
from tests.support.jwks import Issuer
from tests.support.provider import Answer, Asked, Provider
from tests.support.vault import Server, dev_server
from tests.support.vault_admin import Mounted
from tests.support.vault_process import binary

SECRET = "vault/bench"  # noqa: S105  (a name)
COUNTED = "vault/counted"
_FIELD, _PATH, _AUDIENCE = "key", "llm/bench", "vault"
_CONFIG = """
[identity.bench]
kind = "file"
path = "{token}"
[backend.direct]
kind = "vault"
address = "{url}"
login = "jwt"
auth_mount = "{auth}"
role = "{role}"
identity = "bench"
audience = "{audience}"
[backend.counted]
kind = "vault"
address = "{counted}"
login = "jwt"
auth_mount = "{auth}"
role = "{role}"
identity = "bench"
audience = "{audience}"
[secret."vault/bench"]
backend = "direct"
mount = "{mount}"
path = "{path}"
field = "{field}"
hosts = ["{host}"]
[secret."vault/counted"]
backend = "counted"
mount = "{mount}"
path = "{path}"
field = "{field}"
hosts = ["{host}"]
"""
_POLICY = '[[grant]]\nsecrets = ["*"]\nunsafe_any_session = true\n'
# All three log in with the same token, to the same role.
_LOGIN = """
vault {{
  address = "{url}"
}}
auto_auth {{
  method {{
    type = "jwt"
    mount_path = "auth/{auth}"
    config = {{
      path = "{token}"
      role = "{role}"
      remove_jwt_after_reading = false
    }}
  }}
}}
"""
_PROXY = """
api_proxy {{
  use_auto_auth_token = true
}}
listener "unix" {{
  address = "{socket}"
  tls_disable = true
}}
"""
_AGENT = """
env_template "OPENAI_API_KEY" {{
  contents = "{{{{ with secret \\"{mount}/data/{path}\\" }}}}{{{{ .Data.data.key }}}}{{{{ end }}}}"
  error_on_missing_key = true
}}
exec {{
  command = [{command}]
}}
"""


@dataclass
class Scene:
    """What is measured, and what it is measured against.

    Attributes:
        home: Where the broker runs.
        server: The Vault.
        target: What is read to get the secret over HTTP.
        token: A token of Vault that may do that.
        counter: What counts the requests for `COUNTED` on their way.
    """

    home: Home
    server: Server
    target: str
    token: str
    counter: Counter
    _values: dict[str, str]

    @property
    def socket(self) -> str:
        """Where the broker listens."""
        return os.path.join(self.home.root, "run", "brokerctl", "broker.sock")

    def agent(self, *command: str) -> list[str]:
        """Return how `bao agent` starts a command with the secret in its environment."""
        words = ", ".join(f'"{each}"' for each in command)
        return self._program("agent", _AGENT, command=words)

    @contextlib.contextmanager
    def proxy(self) -> Generator[str]:
        """Run `bao proxy`, and yield its socket's path."""
        path = os.path.join(self.home.root, "proxy.sock")
        with started(self.home, self._program("proxy", _PROXY, socket=path)) as proxy:
            while not os.path.exists(path):
                if proxy.poll() is not None:
                    raise RuntimeError(f"the proxy ended with {proxy.returncode}")
                time.sleep(0.01)
            yield path

    def _program(self, name: str, template: str, **more: str) -> list[str]:
        text = (_LOGIN + template).format(**self._values, **more)
        config = self.home.write(f"{name}.hcl", text)
        return [str(binary()), name, f"-config={config}", "-log-level=error"]


class Counter:
    """Passes requests on to a server, and counts them; a context manager."""

    def __init__(self, url: str) -> None:
        self._server = url
        self._pool = urllib3.PoolManager()
        self._provider = Provider(self._pass_on)
        self.url = self._provider.url

    def __enter__(self) -> Counter:
        self._provider.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._provider.__exit__()
        self._pool.clear()

    def requests(self, target: str = "") -> int:
        """Return how many there were; those for one target, if one is given."""
        return sum(asked.target.startswith(target) for asked in self._provider.asked)

    def _pass_on(self, asked: Asked) -> Answer:
        reply = self._pool.request(
            asked.method,
            self._server + asked.target,
            body=asked.body or None,
            headers={k: v for k, v in asked.headers.items() if k not in ("host", "connection")},
            retries=False,
        )
        return Answer(reply.status, reply.data)


@contextlib.contextmanager
def scene() -> Generator[Scene]:
    """Start a server with the secret, and a broker that has it from there."""
    with (
        dev_server() as server,
        Issuer() as issuer,
        Counter(server.url) as counter,
        home_in_memory() as home,  # the first to end: its broker gives back what it has
    ):
        mount = server.kv()
        server.put(mount, _PATH, **{_FIELD: KEY})
        policy = server.policy({f"{mount}/*": ["read"]})
        values = _values(home, server, issuer, server.jwt(issuer.url, _AUDIENCE, policy), mount)
        home.write(".config/brokerctl/config.toml", _CONFIG.format(**values, counted=counter.url))
        home.write(".config/brokerctl/policy.toml", _POLICY)
        token = server.token(policy)["client_token"]
        done = home.run("brokerctl daemon start")
        if done.status != 0:
            raise RuntimeError(done.stderr)
        yield Scene(home, server, f"/v1/{mount}/data/{_PATH}", token, counter, values)


def _values(
    home: Home, server: Server, issuer: Issuer, login: Mounted, mount: str
) -> dict[str, str]:
    now = int(time.time())
    claims = {"sub": "bench", "iat": now, "nbf": now, "exp": now + 3600}
    return {
        "token": home.write("token", issuer.issue(_AUDIENCE, claims)),
        "url": server.url,
        "auth": login.mount,
        "role": login.role,
        "audience": _AUDIENCE,
        "mount": mount,
        "path": _PATH,
        "field": _FIELD,
        "host": HOST,
    }


@contextlib.contextmanager
def started(home: Home, command: Sequence[str]) -> Generator[subprocess.Popen[bytes]]:
    """Run a program that says nothing; it ends with the block."""
    quiet = subprocess.DEVNULL
    with subprocess.Popen(
        command, env=home.environment, cwd=home.root, stdin=quiet, stdout=quiet, stderr=quiet
    ) as process:
        try:
            yield process
        finally:
            process.terminate()
