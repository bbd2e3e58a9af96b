"""What a command executes, and whether the shim will load in it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from brokerctl import program
from brokerctl.program import NotExecutable, ProgramNotFound


def executable(path: Path, text: str = "binary") -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return str(path)


@pytest.fixture
def python(tmp_path: Path) -> str:
    return executable(tmp_path / "bin" / "python3.12")


def test_the_first_executable_of_the_path_is_taken(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "tool").write_text("not executable")
    wanted = executable(tmp_path / "b" / "tool")
    environ = {"PATH": f"{tmp_path}/a:{tmp_path}/b"}
    assert program.find(["tool"], environ).path == wanted


def test_a_name_with_a_slash_is_not_looked_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    executable(tmp_path / "tool")
    monkeypatch.chdir(tmp_path)
    assert program.find(["./tool"], {"PATH": ""}).path == str(tmp_path / "tool")


def test_an_empty_folder_in_the_path_is_this_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    executable(tmp_path / "tool")
    monkeypatch.chdir(tmp_path)
    assert program.find(["tool"], {"PATH": "/nowhere:"}).path == str(tmp_path / "tool")


def test_the_python_of_a_virtual_environment_stays_a_link(tmp_path: Path, python: str) -> None:
    (tmp_path / "venv").mkdir()
    (tmp_path / "venv" / "python").symlink_to(python)
    (tmp_path / "current").symlink_to(tmp_path / "venv")
    found = program.find([f"{tmp_path}/current/python"], {})
    assert found.path == str(tmp_path / "venv" / "python")


def test_a_missing_program_ends_with_127(tmp_path: Path) -> None:
    with pytest.raises(ProgramNotFound) as caught:
        program.find(["no-such-tool"], {"PATH": str(tmp_path)})
    assert caught.value.exit_status == 127


@pytest.mark.parametrize("name", ["plain", "folder"])
def test_what_cannot_be_executed_ends_with_126(tmp_path: Path, name: str) -> None:
    (tmp_path / "plain").write_text("x")
    (tmp_path / "folder").mkdir()
    with pytest.raises(NotExecutable) as caught:
        program.find([str(tmp_path / name)], {})
    assert caught.value.exit_status == 126


def test_the_script_of_a_python_is_found(tmp_path: Path, python: str) -> None:
    script = tmp_path / "app.py"
    script.write_text("")
    for words in (
        [str(script)],
        ["-u", str(script), "-I"],
        ["-W", "error", "-X", "dev", str(script)],
        ["-Werror", "-Xdev", "-bb", str(script)],
        ["--check-hash-based-pycs", "always", str(script)],
        ["--", str(script)],
    ):
        found = program.find([python, *words], {})
        assert (found.script, found.blocking) == (str(script), None), words


@pytest.mark.parametrize("words", [["-c", "x"], ["-m", "mod"], ["-"], [], ["gone.py"], ["-cx"]])
def test_a_python_without_a_script_has_none(python: str, words: list[str]) -> None:
    assert program.find([python, *words], {}).script is None


@pytest.mark.parametrize(
    ("words", "blocking"),
    [
        (["-I", "app.py"], "-I"),
        (["-E", "app.py"], "-E"),
        (["-S", "app.py"], "-S"),
        (["-IB", "app.py"], "-IB"),
        (["-uE", "app.py"], "-uE"),
        (["-X", "dev", "-I", "app.py"], "-I"),
        (["-Im", "mod"], "-Im"),
        (["-m", "mod", "-I"], None),
        (["-c", "x", "-I"], None),
        (["-mI"], None),
        (["app.py", "-I"], None),
        (["-W", "-I", "app.py"], None),
        (["-XI", "app.py"], None),
        (["-", "-I"], None),
        (["--", "-I"], None),
    ],
)
def test_only_pythons_own_options_block_the_shim(
    python: str, words: list[str], blocking: str | None
) -> None:
    assert program.find([python, *words], {}).blocking == blocking


def test_other_programs_may_have_such_options(tmp_path: Path) -> None:
    tool = executable(tmp_path / "grep")
    assert program.find([tool, "-I", "x"], {}).blocking is None


@pytest.mark.parametrize(
    ("line", "blocking"),
    [
        ("#!/usr/bin/python3", None),
        ("#!/usr/bin/python3 -I", "-I"),
        ("#! /usr/bin/env -S python3 -uE", "-uE"),
        ("#!/bin/sh -E", None),
    ],
)
def test_a_script_is_its_own_script_and_its_first_line_counts(
    tmp_path: Path, line: str, blocking: str | None
) -> None:
    tool = executable(tmp_path / "tool", f"{line}\n")
    found = program.find([tool, "-I"], {})
    assert (found.script, found.blocking) == (tool, blocking)


def test_a_binary_has_no_script() -> None:
    assert program.find([os.path.realpath("/bin/true")], {}).script is None
