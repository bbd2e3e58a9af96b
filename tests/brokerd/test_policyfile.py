from __future__ import annotations

import os
from pathlib import Path
from unittest import mock

import pytest

from brokerd.policy import Approval, Asker, Grant
from brokerd.policyfile import PolicyFile
from brokershim.errors import ConfigError, InsecurePath, NotGranted

_HERE = Asker("/home/me/app", None)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    folder = tmp_path / "brokerctl"
    folder.mkdir(mode=0o700)
    return folder / "policy.toml"


def _write(path: Path, text: str) -> PolicyFile:
    path.write_text(text)
    path.chmod(0o600)
    return PolicyFile(str(path))


def _grants(path: Path, text: str) -> tuple[Grant, ...]:
    return _write(path, text).current().grants


def test_without_a_file_nothing_is_granted(path: Path) -> None:
    assert PolicyFile(str(path)).current().grants == ()


def test_an_empty_file_grants_nothing(path: Path) -> None:
    assert _grants(path, "") == ()


def test_it_reads_every_kind_of_grant(path: Path) -> None:
    text = """
    [[grant]]
    project = "/home/me/app"
    sha256 = "00ff"
    secrets = ["openai/dev"]

    [[grant]]
    folder = "/srv"
    secrets = ["*", "a/b"]
    max_ttl = "5m"
    approval = "session"

    [[grant]]
    unsafe_any_session = true
    secrets = []
    max_ttl = 90
    approval = "none"
    """
    assert _grants(path, text) == (
        Grant(("openai/dev",), project="/home/me/app", sha256="00ff"),
        Grant(("*", "a/b"), folder="/srv", max_ttl=300.0, approval=Approval.SESSION),
        Grant((), unsafe_any_session=True, max_ttl=90.0),
    )


_ALL = 'secrets = ["*"]\n'


_BAD = {
    "an unknown table": ("[grants]\n", "unknown key grants"),
    "a table in place of a list": ("[grant]\n" + _ALL, "grant is not a list"),
    "a text in place of a list": ('grant = "all"\n', "grant is not a list"),
    "a list of texts": ('grant = ["all"]\n', "grant 1"),
    "a misspelt key": ('[[grant]]\nfolder = "/"\nmax_tll = "1m"\n' + _ALL, "unknown key max_tll"),
    "nobody": ("[[grant]]\n" + _ALL, "exactly one of project, folder"),
    "two ways of saying whom": (
        '[[grant]]\nfolder = "/"\nunsafe_any_session = true\n' + _ALL,
        "exactly one of",
    ),
    "everybody, denied": ("[[grant]]\nunsafe_any_session = false\n" + _ALL, "exactly one of"),
    "an empty folder": ('[[grant]]\nfolder = ""\n' + _ALL, "exactly one of"),
    "a project without its hash": (
        '[[grant]]\nproject = "/a"\n' + _ALL,
        "sha256 goes with project",
    ),
    "a hash without its project": (
        '[[grant]]\nfolder = "/a"\nsha256 = "0"\n' + _ALL,
        "sha256 goes with project",
    ),
    "a relative folder": ('[[grant]]\nfolder = "app"\n' + _ALL, "folder is not a plain absolute"),
    "a folder with a way back": ('[[grant]]\nfolder = "/a/../b"\n' + _ALL, "plain absolute path"),
    "a folder with a slash too many": ('[[grant]]\nfolder = "/a/"\n' + _ALL, "plain absolute path"),
    "a folder from home": ('[[grant]]\nfolder = "~/app"\n' + _ALL, "plain absolute path"),
    "a folder that is a number": ("[[grant]]\nfolder = 5\n" + _ALL, "folder is not text"),
    "a hash that is a number": (
        '[[grant]]\nproject = "/a"\nsha256 = 5\n' + _ALL,
        "sha256 is not text",
    ),
    "no secrets": ('[[grant]]\nfolder = "/"\n', "secrets is not a list"),
    "one secret that is no list": (
        '[[grant]]\nfolder = "/"\nsecrets = "*"\n',
        "secrets is not a list",
    ),
    "a number among secrets": (
        '[[grant]]\nfolder = "/"\nsecrets = ["a", 5]\n',
        "secrets is not a list",
    ),
    "a number for everybody": (
        "[[grant]]\nunsafe_any_session = 1\n" + _ALL,
        "unsafe_any_session is not true or false",
    ),
    "no time": ('[[grant]]\nfolder = "/"\nmax_ttl = 0\n' + _ALL, "max_ttl is not a duration"),
    "a time without end": ('[[grant]]\nfolder = "/"\nmax_ttl = inf\n' + _ALL, "max_ttl is not"),
    "a time that is true": ('[[grant]]\nfolder = "/"\nmax_ttl = true\n' + _ALL, "max_ttl is not"),
    "an approval of nobody": (
        '[[grant]]\nfolder = "/"\napproval = "nobody"\n' + _ALL,
        "approval is not",
    ),
    "an approval that is false": (
        '[[grant]]\nfolder = "/"\napproval = false\n' + _ALL,
        "approval is not",
    ),
    "no toml": ("[[grant]\n", "is not TOML"),
}


@pytest.mark.parametrize("what", _BAD)
def test_what_is_not_understood_grants_nothing_and_says_where(path: Path, what: str) -> None:
    text, message = _BAD[what]
    policy = _write(path, text)
    for _ in range(2):  # again and again: nothing of an earlier reading is left over
        with pytest.raises(ConfigError, match=message) as refused:
            policy.current()
        assert str(path) in refused.value.message


def test_the_second_grant_is_called_the_second(path: Path) -> None:
    text = '[[grant]]\nfolder = "/"\n' + _ALL + "[[grant]]\n" + _ALL
    with pytest.raises(ConfigError, match="grant 2 needs"):
        _grants(path, text)


def test_a_change_counts_at_once(path: Path) -> None:
    policy = _write(path, '[[grant]]\nfolder = "/"\nsecrets = ["a"]\n')
    assert policy.current().max_ttl(_HERE, "a", approved=False) is None
    path.write_text('[[grant]]\nfolder = "/"\nsecrets = ["b"]\n')  # as long as before
    with pytest.raises(NotGranted):
        policy.current().max_ttl(_HERE, "a", approved=False)
    path.unlink()
    assert policy.current().grants == ()


def test_an_unchanged_file_is_not_read_again(path: Path) -> None:
    policy = _write(path, "")
    first = policy.current()
    with mock.patch("brokerd.policyfile.read_toml", side_effect=AssertionError("read")):
        assert policy.current() is first


def test_a_change_with_the_old_time_put_back_counts_too(path: Path) -> None:
    policy = _write(path, '[[grant]]\nfolder = "/"\nsecrets = ["a"]\n')
    policy.current()
    before = path.stat()
    path.write_text('[[grant]]\nfolder = "/"\nsecrets = ["b"]\n')
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert policy.current().grants[0].secrets == ("b",)


def test_after_a_mistake_is_mended_it_counts_again(path: Path) -> None:
    policy = _write(path, "[[grant]\n")
    with pytest.raises(ConfigError):
        policy.current()
    path.write_text('[[grant]]\nfolder = "/"\nsecrets = ["a"]\n')
    assert len(policy.current().grants) == 1


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666, 0o660])
def test_a_file_that_others_may_change_grants_nothing(path: Path, mode: int) -> None:
    policy = _write(path, "")
    policy.current()
    path.chmod(mode)
    with pytest.raises(InsecurePath):
        policy.current()


def test_a_file_in_a_folder_that_others_may_change_grants_nothing(path: Path) -> None:
    policy = _write(path, "")
    policy.current()
    path.parent.chmod(0o770)
    with pytest.raises(InsecurePath):
        policy.current()


def test_a_link_in_its_place_grants_nothing(path: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.toml"
    other.write_text('[[grant]]\nfolder = "/"\nsecrets = ["*"]\n')
    path.symlink_to(other)
    with pytest.raises(InsecurePath, match="symbolic link"):
        PolicyFile(str(path)).current()
