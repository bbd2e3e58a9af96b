"""Which broker.toml applies."""

from __future__ import annotations

from pathlib import Path

import pytest

from brokerctl import project
from brokershim.errors import ProjectFileNotFound


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "home" / "app" / "src").mkdir(parents=True)
    return tmp_path / "home"


def test_the_nearest_one_above_is_found(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / "broker.toml").touch()
    (home / "app" / "broker.toml").touch()
    monkeypatch.chdir(home / "app" / "src")
    assert project.find() == str(home / "app" / "broker.toml")


def test_the_home_itself_is_looked_at_and_nothing_above_it(home: Path) -> None:
    (home.parent / "broker.toml").touch()
    assert project.find(str(home / "app")) is None
    (home / "broker.toml").touch()
    assert project.find(str(home / "app")) == str(home / "broker.toml")


def test_outside_the_home_the_search_goes_up(home: Path) -> None:
    (home.parent / "broker.toml").touch()
    (home.parent / "else" / "deep").mkdir(parents=True)
    assert project.find(str(home.parent / "else" / "deep")) == str(home.parent / "broker.toml")


def test_a_dangling_link_is_not_gone_past(home: Path) -> None:
    (home / "broker.toml").touch()
    (home / "app" / "broker.toml").symlink_to("nowhere")
    assert project.find(str(home / "app")) == str(home / "app" / "broker.toml")


def test_none_is_an_error_where_one_is_needed(home: Path) -> None:
    with pytest.raises(ProjectFileNotFound):
        project.require(str(home))


def test_a_removed_folder_is_said_to_be_removed(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(home / "app" / "src")
    (home / "app" / "src").rmdir()
    with pytest.raises(ProjectFileNotFound, match="has been removed"):
        project.find()
