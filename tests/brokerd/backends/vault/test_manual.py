"""Is what docs/vault.md and the README show accepted as it stands, by us and by the server?"""

from __future__ import annotations

import re
import textwrap
import tomllib
from pathlib import Path
from typing import Any

import pytest

from brokerd.backends.vault.backend import LOGINS
from brokerd.config import parse
from brokerd.kinds import build_backends, build_identities
from tests.support.certificate import self_signed
from tests.support.daemon import REPOSITORY
from tests.support.vault import Server

_MANUALS = ("docs/vault.md", "README.md")
_TEXT = "\n".join((REPOSITORY / each).read_text() for each in _MANUALS)
_BLOCKS = [
    textwrap.dedent(each) for each in re.findall(r"(?:^(?:    .*)?\n)+", _TEXT, re.MULTILINE)
]
_TABLES = [each.strip() for each in _BLOCKS if each.strip().startswith("[")]
_BACKEND = {"kind": "vault", "address": "https://vault.example", "login": "token"}


def _built(document: dict[str, Any]) -> dict[str, Any]:
    settings = parse("config.toml", document)
    return dict(build_backends(settings, build_identities(settings)))


@pytest.mark.parametrize("text", _TABLES, ids=range(len(_TABLES)))
def test_every_table_is_accepted(text: str, tmp_path: Path) -> None:
    _, authority = self_signed(tmp_path, "vault.internal")
    document = tomllib.loads(text.replace("/etc/ssl/corp.pem", str(authority)))
    document.setdefault("backend", {"corp": _BACKEND})
    assert _built(document)["corp"].watch_seconds == 30.0


def test_every_login_is_shown() -> None:
    shown = [tomllib.loads(each).get("backend", {}).get("corp", {}) for each in _TABLES]
    assert {each.get("login") for each in shown} >= set(LOGINS)


def test_the_policy_is_accepted(vault_server: Server) -> None:
    (policy,) = (each for each in _BLOCKS if 'capabilities = ["' in each)
    vault_server.write("sys/policies/acl/of-the-manual", policy=policy)
