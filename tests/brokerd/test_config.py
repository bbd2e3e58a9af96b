from __future__ import annotations

import os
from pathlib import Path

import pytest

from brokerd import config
from brokershim.errors import ConfigError, InsecurePath


def _write(folder: Path, text: str | bytes) -> str:
    path = folder / "config.toml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    path.chmod(0o600)
    return str(path)


def test_without_a_file_everything_is_at_its_default(tmp_path: Path) -> None:
    assert config.load(str(tmp_path / "config.toml")) == config.Config("auto", 16 * 1024 * 1024)


def test_it_reads_every_setting(tmp_path: Path) -> None:
    text = '[store]\nmaster_key = "passphrase"\n[audit]\nrotate_bytes = 65536\n'
    assert config.load(_write(tmp_path, text)) == config.Config("passphrase", 65536)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("[stroe]\n", "stroe"),
        ('[store]\nmaster = "auto"\n', "store.master"),
        ("[audit]\nrotate = 5\n", "audit.rotate"),
        ("store = 5\n", "store is not a table"),
        ("[store]\nmaster_key = 5\n", "store.master_key"),
        ('[store]\nmaster_key = "Keyring"\n', "store.master_key"),
        ("[store]\nmaster_key = true\n", "store.master_key"),
        ("[audit]\nrotate_bytes = 1024\n", "audit.rotate_bytes"),
        ("[audit]\nrotate_bytes = true\n", "audit.rotate_bytes"),
        ('[audit]\nrotate_bytes = "65536"\n', "audit.rotate_bytes"),
    ],
)
def test_what_means_nothing_is_an_error_that_names_file_and_key(
    tmp_path: Path, text: str, named: str
) -> None:
    path = _write(tmp_path, text)
    with pytest.raises(ConfigError, match=named) as refused:
        config.load(path)
    assert path in refused.value.message


@pytest.mark.parametrize(
    "text",
    [
        "key sk-secret-value\n",
        "a = 'sk-secret-value\n",
        b"a = 'sk-secret-value\xff'\n",
        "a = 'sk-secret-value'\na = 'sk-secret-value'\n",
        "a = " + "[" * 20_000,
        "a = " + "1" * 5_000,
        "a = 2026-13-45\n",
    ],
)
def test_what_is_no_toml_is_refused_and_not_repeated(tmp_path: Path, text: str | bytes) -> None:
    path = _write(tmp_path, text)
    with pytest.raises(ConfigError) as refused:
        config.load(path)
    assert path in refused.value.message
    assert "sk-secret" not in refused.value.message
    assert refused.value.__cause__ is None
    assert refused.value.__suppress_context__


def test_the_place_of_the_mistake_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"at line 2, column 3"):
        config.load(_write(tmp_path, "\nb b = 1\n"))


def test_a_file_that_others_can_change_is_refused(tmp_path: Path) -> None:
    path = _write(tmp_path, "")
    os.chmod(path, 0o660)
    with pytest.raises(InsecurePath, match="0660") as refused:
        config.load(path)
    assert refused.value.hint == f"chmod 0640 {path}"


def test_a_link_is_refused(tmp_path: Path) -> None:
    elsewhere = _write(tmp_path, "")
    link = tmp_path / "link.toml"
    link.symlink_to(elsewhere)
    with pytest.raises(InsecurePath, match="symbolic link"):
        config.load(str(link))


def test_a_folder_in_its_place_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "config.toml").mkdir()
    with pytest.raises(InsecurePath, match="not a regular file"):
        config.load(str(tmp_path / "config.toml"))


def test_an_endless_file_is_not_read_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.touch(0o600)
    os.truncate(path, 1 << 40)
    with pytest.raises(InsecurePath, match="over"):
        config.load(str(path))
