"""A token helper is somebody else's program: it gets little, and may not take long."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from brokerd.backends.vault.login import helper
from brokershim.errors import BackendTimeout, IdentityUnavailable, InsecurePath
from tests.support.daemon import PLAIN_UID, wait_until


def program(folder: Path, text: str) -> str:
    path = folder / "helper"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o700)
    return str(path)


@pytest.mark.parametrize("text", ["printf s.token", "echo s.token", "[ $1 = get ] && echo s.token"])
def test_it_says_the_token(tmp_path: Path, text: str) -> None:
    assert helper.get(program(tmp_path, text)) == "s.token"


def test_it_sees_nothing_of_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HOME", "PATH"):
        monkeypatch.setenv(name, "/nowhere")
    monkeypatch.setenv("VAULT_TOKEN", "of-the-shell")
    text = helper.get(program(tmp_path, f"/usr/bin/env > {tmp_path}/seen; pwd; echo >&2 secret"))
    assert text == "/"
    seen = (tmp_path / "seen").read_text()
    assert "of-the-shell" not in seen
    assert "/nowhere" not in seen
    assert "HOME=/" in seen


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("exit 0", "has no token"),
        ("echo", "has no token"),
        ("printf 's.\\303\\244'", "has no token"),
        ("echo s.token; exit 3", "ends with status 3"),
        ("head -c 100000 /dev/zero", "says more than a token"),
        ("kill -9 $$", "ends with status -9"),
    ],
)
def test_what_is_no_token_is_not_taken(tmp_path: Path, text: str, fault: str) -> None:
    with pytest.raises(IdentityUnavailable, match=fault) as failed:
        helper.get(program(tmp_path, text))
    assert "s.token" not in failed.value.message + failed.value.hint


@pytest.mark.parametrize("text", ["sleep 60", "exec >&-; sleep 60", "sleep 60 & exit 0"])
def test_one_that_hangs_is_ended_with_all_it_started(tmp_path: Path, text: str) -> None:
    os.mkfifo(tmp_path / "held")
    held = os.open(tmp_path / "held", os.O_RDONLY | os.O_NONBLOCK)
    try:
        with pytest.raises(BackendTimeout, match="did not answer") as late:
            helper.get(program(tmp_path, f"exec 3> {tmp_path}/held; echo >&3; {text}"), seconds=0.2)
        assert os.read(held, 1) == b"\n"
        wait_until(lambda: ended(held))
        assert late.value.hint == f"see why `{tmp_path}/helper get` does not end"
    finally:
        os.close(held)


def ended(held: int) -> bool:
    """Return whether nobody has the other end of a pipe any more."""
    try:
        return os.read(held, 1) == b""
    except BlockingIOError:
        return False


def test_one_that_says_something_for_ever_is_ended(tmp_path: Path) -> None:
    with pytest.raises(IdentityUnavailable, match="more than a token"):
        helper.get(program(tmp_path, "yes"))


@pytest.mark.parametrize("mode", [0o720, 0o702])
def test_one_that_others_could_change_is_not_run(tmp_path: Path, mode: int) -> None:
    path = program(tmp_path, f"touch {tmp_path}/ran")
    os.chmod(path, mode)
    with pytest.raises(InsecurePath, match="could be changed by others"):
        helper.get(path)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("linked", [False, True])
@pytest.mark.parametrize("mode", [0o770, 0o707])
def test_nor_is_one_that_others_could_put_another_in_the_place_of(
    tmp_path: Path, mode: int, linked: bool
) -> None:
    folder = tmp_path / "open" / "bin"
    folder.mkdir(parents=True)
    path = program(folder, f"touch {tmp_path}/ran")
    if linked:
        os.symlink(path, tmp_path / "link")
        path = str(tmp_path / "link")
    if mode == 0o770 and os.geteuid() == 0:  # root trusts the groups of its own folders
        os.chown(folder.parent, PLAIN_UID, -1)
    os.chmod(folder.parent, mode)
    with pytest.raises(InsecurePath, match="could be changed by others") as caught:
        helper.get(path)
    assert str(folder.parent) in caught.value.hint
    assert not (tmp_path / "ran").exists()


def test_one_in_a_folder_where_each_has_their_own_is_run(tmp_path: Path) -> None:
    path = program(tmp_path, "echo s.token")
    tmp_path.chmod(0o1777)
    assert helper.get(path) == "s.token"


def test_one_that_is_not_there_or_no_program_is_named(tmp_path: Path) -> None:
    with pytest.raises(IdentityUnavailable, match="cannot run") as gone:
        helper.get(str(tmp_path / "gone"))
    assert "`token_helper` in config.toml" in gone.value.hint
    path = program(tmp_path, "")
    os.chmod(path, 0o600)
    with pytest.raises(IdentityUnavailable, match="Permission denied"):
        helper.get(path)
