"""What does a key that dies by itself cost fifty processes, and when is a revoked one of no use?"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import sys
import tempfile
import time
from collections.abc import Generator

from bench.atonce import at_once
from bench.figures import Figure
from brokershim.client import Client
from demo.home import Home
from tests.support.federated import SETTINGS
from tests.support.jwks import Issuer
from tests.support.signing_identity import SigningIdentity
from tests.support.token_endpoints import TokenEndpoint
from tests.support.vendor_rules import OAUTH_BETA, RULES

_CONFIG = """
[identity.bench]
kind = "file"
path = "{token}"
[backend.bench]
kind = "federation"
provider = "anthropic"
identity = "bench"
jti_reuse = true
token_endpoint = "{url}"
hosts = ["127.0.0.1:{port}"]
federation_rule_id = "{federation_rule_id}"
organization_id = "{organization_id}"
[secret."{secret}"]
backend = "bench"
"""
PROCESSES = 50
SECRET = "anthropic/bench"  # noqa: S105  (a name)
_POLICY = '[[grant]]\nsecrets = ["*"]\nunsafe_any_session = true\n'
_USES = 50


def measure(_home: Home) -> list[Figure]:
    """Measure in a broker of its own, whose provider and issuer run in this process."""
    with Issuer() as issuer, TokenEndpoint("anthropic", issuer) as endpoint:
        endpoint.single_use = False
        identity = SigningIdentity(issuer)
        tokens = [identity.token(RULES["anthropic"].audience).value for _ in range(PROCESSES)]
        with _broker(endpoint, tokens[0]) as home:
            path = os.path.join(home.root, "run", "brokerctl", "broker.sock")
            shared = at_once("lease", path, SECRET, PROCESSES)
            exchanges = endpoint.exchanges
            own = _each_its_own(home, endpoint, tokens)
            last, again = _revoked(path, endpoint)
    both = f"{shared * 1e3:.0f} ms to {own * 1e3:.0f} ms, until the last has its key"
    return [
        Figure("fifty at once: exchanges", exchanges, "x", 1, f"{PROCESSES} with the SDK"),
        Figure("fifty at once, to the vendor's SDK", shared / own, "x", 1.0, both),
        Figure("revoked, to its last use", last * 1e3, "ms", None, "at the provider"),
        Figure("revoked, to the next key in use", again * 1e3, "ms", None, "report, exchange"),
    ]


@contextlib.contextmanager
def _broker(endpoint: TokenEndpoint, token: str) -> Generator[Home]:
    with tempfile.TemporaryDirectory(prefix="bench-") as root:
        home = Home(root)
        values = {"token": home.write("token", token), "url": endpoint.url, "port": endpoint.port}
        config = _CONFIG.format(**values, **SETTINGS["anthropic"], secret=SECRET)
        home.write(".config/brokerctl/config.toml", config)
        home.write(".config/brokerctl/policy.toml", _POLICY)
        done = home.run("brokerctl daemon start")
        if done.status != 0:
            raise RuntimeError(done.stderr)
        try:
            yield home
        finally:
            home.stop()


def _each_its_own(home: Home, endpoint: TokenEndpoint, tokens: list[str]) -> float:
    path = home.write("tokens", json.dumps(tokens))
    before = endpoint.exchanges
    taken = at_once("sdk", endpoint.base, path, PROCESSES)
    if endpoint.exchanges - before != PROCESSES:
        raise RuntimeError("the SDKs did not make one exchange each")
    return taken


def _revoked(path: str, endpoint: TokenEndpoint) -> tuple[float, float]:
    """Return the seconds from a revocation to the last use, and to the first of another key."""
    with contextlib.closing(Client(path)) as client:
        client.call("session.open", program=sys.executable, env={"ANTHROPIC_API_KEY": SECRET})
        lease = client.call("lease.acquire", secret=SECRET)
        if not all(_use(endpoint, lease["value"]) for _ in range(_USES)):
            raise RuntimeError("the key is not accepted")
        begun = last = time.perf_counter()
        endpoint.revoke()
        while _use(endpoint, lease["value"]):
            last = time.perf_counter()
        client.call("lease.report", lease=lease["lease"], status=401)
        if not _use(endpoint, client.call("lease.acquire", secret=SECRET)["value"]):
            raise RuntimeError("the new key is not accepted")
        return last - begun, time.perf_counter() - begun


def _use(endpoint: TokenEndpoint, key: str) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", endpoint.port)
    headers = {"authorization": f"Bearer {key}", "anthropic-beta": OAUTH_BETA}
    try:
        connection.request("POST", "/v1/messages", b'{"model": "m"}', headers)
        return connection.getresponse().status == http.client.OK
    finally:
        connection.close()
