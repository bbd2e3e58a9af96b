"""How is a trusted project written into policy.toml?"""

from __future__ import annotations

import tomllib
from pathlib import Path
from unittest import mock

import pytest

from brokerd.policy import Approval, Grant, Trust
from brokerd.policyfile import PolicyFile
from brokershim.errors import BackendUnavailable, ConfigError, InsecurePath


@pytest.fixture
def path(tmp_path: Path) -> Path:
    folder = tmp_path / "brokerctl"
    folder.mkdir(mode=0o700)
    return folder / "policy.toml"


def _write(path: Path, text: str) -> PolicyFile:
    path.write_text(text)
    path.chmod(0o600)
    return PolicyFile(str(path))


def test_a_trusted_project_is_granted_what_it_names(path: Path) -> None:
    policy = PolicyFile(str(path))
    policy.allow("/home/me/app", "00ff", ["a", "b"])
    assert policy.current().grants == (Grant(("a", "b"), project="/home/me/app", sha256="00ff"),)
    assert policy.current().trust("/home/me/app", "00ff") is Trust.ALLOWED
    assert path.stat().st_mode & 0o777 == 0o600


def test_trust_takes_the_place_of_earlier_trust(path: Path) -> None:
    policy = PolicyFile(str(path))
    policy.allow("/home/me/app", "00", ["a"])
    policy.allow("/home/me/other", "11", ["b"])
    policy.allow("/home/me/app", "22", ["c"])
    assert policy.current().grants == (
        Grant(("c",), project="/home/me/app", sha256="22"),
        Grant(("b",), project="/home/me/other", sha256="11"),
    )
    assert policy.current().trust("/home/me/app", "00") is Trust.CHANGED


_OWN = """\
# My rules.  Do not touch!

[[grant]]   # for the app
project = "/home/me/app"
sha256 = "00"
secrets = ["a"]   # only this
max_ttl = "1m"
approval = "session"

# This one is for the server.
[[grant]]
folder = "/srv"
secrets = [
    "a",  # one
    "b",  # two
]
# The end.
"""


def test_everything_else_stays_as_it_was(path: Path) -> None:
    policy = _write(path, _OWN)
    policy.allow("/home/me/app", "22", ["c"])
    expected = _OWN.replace('sha256 = "00"', 'sha256 = "22"').replace(
        'secrets = ["a"]   # only this', 'secrets = ["c"]'
    )
    written = path.read_text()
    assert [line for line in expected.splitlines() if line not in written.splitlines()] in (
        [],
        ['secrets = ["c"]'],
    )
    app, server = policy.current().grants
    assert app == Grant(("c",), "/home/me/app", "22", max_ttl=60.0, approval=Approval.SESSION)
    assert server == Grant(("a", "b"), folder="/srv")


def test_a_limit_that_was_written_by_hand_outlives_new_trust(path: Path) -> None:
    policy = _write(path, _OWN)
    policy.allow("/home/me/app", "22", ["c"])
    assert policy.current().grants[0].max_ttl == 60.0
    assert policy.current().grants[0].approval is Approval.SESSION


@pytest.mark.parametrize(
    "text",
    [
        'grant = [{folder = "/srv", secrets = ["a"]}]\n',
        "grant = []\n",
        '[[grant]]\nfolder = "/srv"\nsecrets = ["a"]',
        "# only a comment",
        "\ufeff".replace("\ufeff", "\n\n"),
    ],
)
def test_trust_can_be_added_to_however_the_file_is_written(path: Path, text: str) -> None:
    policy = _write(path, text)
    before = policy.current().grants
    policy.allow('/home/me/a "quoted" \\ folder', "22", ["c"])
    added = Grant(("c",), project='/home/me/a "quoted" \\ folder', sha256="22")
    assert policy.current().grants == (*before, added)
    tomllib.loads(path.read_text())


def test_a_file_with_a_mistake_is_left_alone(path: Path) -> None:
    policy = _write(path, "[[grant]\n")
    with pytest.raises(ConfigError):
        policy.allow("/home/me/app", "22", ["c"])
    assert path.read_text() == "[[grant]\n"


def test_a_loose_file_is_left_alone(path: Path) -> None:
    policy = _write(path, "")
    path.chmod(0o666)
    with pytest.raises(InsecurePath):
        policy.allow("/home/me/app", "22", ["c"])
    assert path.read_text() == ""


def test_a_disk_that_is_full_is_said_so_and_changes_nothing(path: Path) -> None:
    policy = _write(path, _OWN)
    failure = OSError(28, "No space left on device")
    with (
        mock.patch("brokerd.files.os.write", side_effect=failure),
        pytest.raises(BackendUnavailable, match="No space left"),
    ):
        policy.allow("/home/me/app", "22", ["c"])
    assert path.read_text() == _OWN
    assert policy.current().grants[0].sha256 == "00"
