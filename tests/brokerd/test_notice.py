from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from brokerd import notice

_PROGRAM = """#!/usr/bin/python3
import json, os, sys
with open({path!r}, "w") as file:
    json.dump([sys.argv, dict(os.environ), os.getcwd()], file)
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a folder in the place of those that hold the system's programs."""
    found = tmp_path / "bin"
    found.mkdir()
    monkeypatch.setattr(notice, "_FOLDERS", str(found))
    return found


def _program(folder: Path, name: str, text: str = _PROGRAM) -> Path:
    said = folder / f"{name}.said"
    program = folder / name
    program.write_text(text.format(path=str(said)))
    program.chmod(0o755)
    return said


def test_notify_send_gets_words_and_no_markup(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = _program(folder, "notify-send")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-the-shell")
    monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nowhere")
    notice.show("--title", "<b>$(id)</b> & `id`; 'x' \"y\"")
    arguments, environ, cwd = json.loads(said.read_text())
    assert arguments == [
        str(folder / "notify-send"),
        "--app-name=brokerctl",
        "--",
        "--title",
        "&lt;b&gt;$(id)&lt;/b&gt; &amp; `id`; 'x' \"y\"",
    ]
    assert environ["DBUS_SESSION_BUS_ADDRESS"] == "unix:path=/nowhere"
    assert "OPENAI_API_KEY" not in environ
    assert "PATH" not in environ
    assert cwd == "/"


def test_osascript_gets_words_and_no_script(folder: Path) -> None:
    said = _program(folder, "osascript")
    notice.show("a title", '" & (do shell script "id") & "')
    arguments, _, _ = json.loads(said.read_text())
    assert arguments[-3:] == ["--", "a title", '" & (do shell script "id") & "']
    assert not any("id" in each for each in arguments[:-1])


def test_without_a_desktop_nothing_is_done(folder: Path) -> None:
    notice.show("a title", "a text")
    assert list(folder.iterdir()) == []


def test_a_program_in_path_is_not_taken(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    said = _program(elsewhere, "notify-send")
    monkeypatch.setenv("PATH", f"{elsewhere}:{os.environ['PATH']}")
    notice.show("a title", "a text")
    assert not said.exists()
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("text", ["#!/no/such/interpreter\n", "#!/bin/sh\nexec sleep 60\n"])
def test_a_desktop_that_fails_or_hangs_is_given_up(
    folder: Path, text: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(notice, "_SECONDS", 0.05)
    _program(folder, "notify-send", text)
    notice.show("a title", "a text")
    assert "could not be shown" in caplog.text
