from __future__ import annotations

import grp
import hashlib
import os
import pwd
from pathlib import Path
from unittest import mock

import pytest

from brokerd import project
from brokershim.errors import (
    BrokerError,
    ConfigError,
    InsecurePath,
    ProjectFileNotFound,
    UsageError,
)
from tests.support.daemon import PLAIN_UID
from tests.support.require import require_root

_TEXT = '# Which keys this app uses.\nOPENAI_API_KEY = "openai/dev"\nOTHER = "a/b/c/d"\n'


def _write(folder: Path, text: str | bytes = _TEXT, mode: int = 0o644) -> str:
    path = folder / "broker.toml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    path.chmod(mode)
    return str(path)


def test_it_names_variables_and_secrets_and_its_own_hash(tmp_path: Path) -> None:
    path = _write(tmp_path)
    found = project.read(path)
    assert found.env == {"OPENAI_API_KEY": "openai/dev", "OTHER": "a/b/c/d"}
    assert found.sha256 == hashlib.sha256(_TEXT.encode()).hexdigest()
    assert (found.path, found.folder) == (path, str(tmp_path))


def test_one_changed_byte_is_another_hash(tmp_path: Path) -> None:
    first = project.read(_write(tmp_path)).sha256
    assert project.read(_write(tmp_path, _TEXT + " ")).sha256 != first


def test_one_folder_has_one_name(tmp_path: Path) -> None:
    """Else trust could be had under one name, and a session opened under another."""
    (tmp_path / "app").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "app")
    _write(tmp_path / "app")
    for way in ("link/broker.toml", "app/../app/broker.toml", "app//broker.toml", "link/./x"):
        found = project.read(f"{tmp_path}/{way}")
        assert found.folder == str(tmp_path / "app")
        assert found.path == str(tmp_path / "app" / "broker.toml")


@pytest.mark.parametrize("missing", ["broker.toml", "none/broker.toml", "file/broker.toml"])
def test_a_file_that_is_not_there(tmp_path: Path, missing: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ProjectFileNotFound, match="there is no"):
        project.read(str(tmp_path / missing))


@pytest.mark.parametrize("path", ["broker.toml", "", "./broker.toml", "~/broker.toml"])
def test_a_path_that_depends_on_who_reads_it_is_refused(path: str) -> None:
    with pytest.raises(UsageError, match="absolute"):
        project.read(path)


@pytest.mark.parametrize("name", [b"\xff", b"\x1b[2J", b"a\nb", "\u202e".encode()])
def test_a_folder_that_no_terminal_should_show_is_refused(tmp_path: Path, name: bytes) -> None:
    folder = os.path.join(os.fsencode(tmp_path), name)
    os.mkdir(folder)
    _write(Path(os.fsdecode(folder)))
    (tmp_path / "link").symlink_to(os.fsdecode(folder))
    with pytest.raises(UsageError, match="cannot be shown") as refused:
        project.read(str(tmp_path / "link" / "broker.toml"))
    assert refused.value.message.isprintable()


def test_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "broker.toml").symlink_to(_write(tmp_path))
    with pytest.raises(InsecurePath, match="symbolic link"):
        project.read(str(tmp_path / "app" / "broker.toml"))


def test_a_pipe_holds_nobody_up(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "broker.toml")
    with pytest.raises(InsecurePath, match="not a regular file"):
        project.read(str(tmp_path / "broker.toml"))


def test_another_users_file_is_refused(tmp_path: Path) -> None:
    require_root()
    path = _write(tmp_path)
    os.chown(path, PLAIN_UID, -1)
    with pytest.raises(InsecurePath, match=f"belongs to uid {PLAIN_UID}"):
        project.read(path)


def test_a_file_that_everybody_may_change_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InsecurePath, match="0666") as refused:
        project.read(_write(tmp_path, mode=0o666))
    assert refused.value.hint.startswith("chmod 0644 ")


def _group(name: str, members: list[str]) -> grp.struct_group:
    return grp.struct_group((name, "x", os.getegid(), members))


@pytest.mark.parametrize(
    ("name", "members", "is_accepted"),
    [
        ("ME", [], True),
        ("ME", ["ME"], True),
        ("ME", ["ME", "eve"], False),
        ("ME", ["eve"], False),
        ("staff", [], False),
        ("staff", ["ME"], False),
    ],
)
def test_a_group_that_may_change_it_has_to_be_the_users_own(
    tmp_path: Path, name: str, members: list[str], *, is_accepted: bool
) -> None:
    me = pwd.getpwuid(os.geteuid()).pw_name
    group = _group(name.replace("ME", me), [each.replace("ME", me) for each in members])
    path = _write(tmp_path, mode=0o664)
    with mock.patch("grp.getgrgid", return_value=group):
        if is_accepted:
            assert project.read(path).env
        else:
            with pytest.raises(InsecurePath, match="by its group") as refused:
                project.read(path)
            assert refused.value.hint == f"chmod g-w {path}"


def test_a_group_that_has_no_name_is_nobodys_own(tmp_path: Path) -> None:
    path = _write(tmp_path, mode=0o664)
    with mock.patch("grp.getgrgid", side_effect=KeyError), pytest.raises(InsecurePath):
        project.read(path)


@pytest.mark.parametrize(
    "text",
    [
        "OPENAI_API_KEY = 5\n",
        "OPENAI_API_KEY = true\n",
        'OPENAI_API_KEY = ["openai/dev"]\n',
        '[OPENAI_API_KEY]\nsecret = "openai/dev"\n',
        'OPENAI_API_KEY.secret = "openai/dev"\n',
        '[env]\nOPENAI_API_KEY = "openai/dev"\n',
        'OPENAI_API_KEY = ""\n',
        'OPENAI_API_KEY = "OpenAI/Dev"\n',
        'OPENAI_API_KEY = "../../etc"\n',
        'OPENAI_API_KEY = "brokerref:openai/dev"\n',
        '"OPENAI API KEY" = "openai/dev"\n',
        '"" = "openai/dev"\n',
        '"A=B" = "openai/dev"\n',
        'A-B = "openai/dev"\n',
        '1A = "openai/dev"\n',
        'PATH = "openai/dev"\n',
        'HOME = "openai/dev"\n',
        'LD_PRELOAD = "openai/dev"\n',
        'PYTHONPATH = "openai/dev"\n',
        'BROKER_SOCKET = "openai/dev"\n',
        'DYLD_INSERT_LIBRARIES = "openai/dev"\n',
        'BASH_ENV = "openai/dev"\n',
        'NODE_OPTIONS = "openai/dev"\n',
        'XDG_CONFIG_HOME = "openai/dev"\n',
        f'{"A" * 129} = "openai/dev"\n',
        "".join(f'V{n} = "openai/dev"\n' for n in range(65)),
        "OPENAI_API_KEY = openai/dev\n",
        "[[[",
        "a = " + "[" * 20_000,
    ],
)
def test_anything_but_variables_and_names_is_refused(tmp_path: Path, text: str) -> None:
    path = _write(tmp_path, text)
    with pytest.raises(ConfigError) as refused:
        project.read(path)
    assert path in refused.value.message
    assert refused.value.hint


def test_as_many_variables_as_a_session_may_have(tmp_path: Path) -> None:
    text = "".join(f'V{n} = "openai/dev"\n' for n in range(project.MAX_VARIABLES))
    assert len(project.read(_write(tmp_path, text)).env) == project.MAX_VARIABLES


@pytest.mark.parametrize(
    "key",
    ["sk-proj-Abc_123456789012345678901234567890", "sk-0123456789abcdef0123456789abcdef",
     "0123456789abcdef0123456789abcdef", "gsk_012345678901234567890123456789",
     "AIzaSyA0123456789012345678901234567890ab"],
)  # fmt: skip
def test_a_key_in_it_is_refused_and_repeated_nowhere(tmp_path: Path, key: str) -> None:
    for text in (
        f'OPENAI_API_KEY = "{key}"\n',
        f"OPENAI_API_KEY = {key}\n",
        f'"{key}" = "openai/dev"\n',
        f'"{key}" = 5\n',
        f'{key} = "OPENAI_API_KEY"\n',
        f'OPENAI_API_KEY = "{key}\n',
    ):
        with pytest.raises(BrokerError) as refused:
            project.read(_write(tmp_path, text))
        assert key not in str(refused.value.to_wire()), text
        assert refused.value.__cause__ is None
        assert refused.value.__suppress_context__ or refused.value.__context__ is None


def test_a_file_over_its_limit_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="over 65536 bytes"):
        project.read(_write(tmp_path, "#" * 65_537))


def test_what_is_named_on_the_command_line_keeps_the_same_rules() -> None:
    project.check_env({"OPENAI_API_KEY": "openai/dev", "_x1": "a"})
    for env in ({"LD_PRELOAD": "a"}, {"A B": "a"}, {"A": "B"}, {"A": "sk-" + "0" * 32}):
        with pytest.raises(UsageError):
            project.check_env(env)
