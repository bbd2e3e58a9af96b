"""Tokens that something else writes: into a file of ours, and into a pod's volume."""

from __future__ import annotations

from pathlib import Path

import pytest

from brokerd.identities import file, kubernetes
from brokerd.table import Table
from tests.contract.identity import Given, IdentityContract
from tests.support.tokens import AUDIENCE, token


class TestAFile(IdentityContract):
    """A file of ours alone."""

    @pytest.fixture
    def given(self, tmp_path: Path) -> Given:
        path = tmp_path / "token"
        path.touch(0o600)
        path.write_text(token() + "\n")
        table = Table("config.toml", "identity.robot", {"kind": "file", "path": str(path)})
        return Given(file.build("robot", table), AUDIENCE, None, lambda: path.chmod(0o644))


class TestAPodsVolume(IdentityContract):
    """A projected volume, as the kubelet writes it."""

    @pytest.fixture
    def given(self, tmp_path: Path) -> Given:
        folder = tmp_path / "..2026"
        folder.mkdir()
        (folder / "token").touch(0o640)
        (folder / "token").write_text(token([AUDIENCE], sub="system:serviceaccount:apps:worker"))
        (tmp_path / "..data").symlink_to("..2026")
        (tmp_path / "token").symlink_to("..data/token")
        values = {"kind": "kubernetes", "path": str(tmp_path / "token")}
        identity = kubernetes.build("pod", Table("config.toml", "identity.pod", values))
        return Given(identity, AUDIENCE, None, (folder / "token").unlink)
