"""How a token in a file stands: there, not there, or broken."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from brokerd.identities.base import Standing
from brokerd.identities.file import TokenFile
from brokerd.identities.tokenfile import read_own
from brokershim.errors import IdentityExpired
from tests.support.tokens import AUDIENCE, token


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "token"
    file.touch(0o600)
    file.write_text(token())
    return file


@pytest.fixture
def identity(path: Path) -> TokenFile:
    return TokenFile("robot", "file", str(path), read_own)


def test_it_says_who_and_asks_for_no_login(identity: TokenFile) -> None:
    expected = Standing("ready", "https://issuer.example.com", "robot", until=None)
    assert identity.standing() == expected


def test_it_follows_what_is_written(identity: TokenFile, path: Path) -> None:
    assert identity.token(AUDIENCE).subject == "robot"
    path.write_text(token(sub="another"))
    assert identity.token(AUDIENCE).subject == "another"
    assert identity.standing().subject == "another"


def test_one_that_is_over_says_so_until_a_newer_one_is_written(
    identity: TokenFile, path: Path
) -> None:
    path.write_text(token(exp=int(time.time()) - 5))
    with pytest.raises(IdentityExpired, match=f"the token in {path} was over at") as expired:
        identity.token(AUDIENCE)
    assert "renew it" in expired.value.hint
    assert identity.standing().state == "failed"
    path.write_text(token())
    assert identity.standing().state == "ready"


def test_one_that_is_not_there_is_absent(identity: TokenFile, path: Path) -> None:
    path.unlink()
    reason = f"there is no {path}; see what is to write it"
    assert identity.standing() == Standing("absent", reason=reason)


def test_one_that_others_can_read_is_broken_and_says_why(identity: TokenFile, path: Path) -> None:
    path.chmod(0o644)
    assert identity.standing().state == "failed"
    assert "0644" in identity.standing().reason
    assert identity.standing().reason.endswith(f"; chmod 0600 {path}")
