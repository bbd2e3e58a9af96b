from __future__ import annotations

from pathlib import Path

import pytest

from brokerd.configfile import ConfigFile


@pytest.fixture
def path(tmp_path: Path) -> Path:
    tmp_path.chmod(0o700)
    return tmp_path / "config.toml"


def _write(path: Path, size: int) -> None:
    path.write_text(f"[audit]\nrotate_bytes = {size}\n")
    path.chmod(0o600)


def test_it_is_read_once_and_a_change_shows(path: Path) -> None:
    _write(path, 2_000_000)
    file = ConfigFile(str(path))
    assert not file.changed()
    _write(path, 30_000_000)
    assert file.changed()
    assert file.settings.audit_bytes == 2_000_000


def test_a_first_one_shows(path: Path) -> None:
    file = ConfigFile(str(path))
    assert not file.changed()
    _write(path, 2_000_000)
    assert file.changed()


def test_one_that_is_gone_shows(path: Path) -> None:
    _write(path, 2_000_000)
    file = ConfigFile(str(path))
    path.unlink()
    assert file.changed()


def test_one_that_cannot_be_looked_at_any_more_shows(tmp_path: Path) -> None:
    folder = tmp_path / "config"
    folder.mkdir(0o700)
    _write(folder / "config.toml", 2_000_000)
    file = ConfigFile(str(folder / "config.toml"))
    folder.rename(tmp_path / "moved")
    folder.write_text("no folder any more")
    assert file.changed()
