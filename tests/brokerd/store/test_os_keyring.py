"""With a real keyring of the desktop, and with others that try to be taken for it."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Generator
from contextlib import closing, contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from brokerd.keyring import find_keyring
from brokerd.store import Store
from brokershim.errors import KeyringUnavailable, Locked
from tests.support.keyring_session import bus_session, keyring_session
from tests.support.require import require_linux

KEY = b"sk-value"
NOWHERE = {"DBUS_SESSION_BUS_ADDRESS": "unix:path=/nonexistent/bus"}


@pytest.fixture
def folder() -> Generator[Path]:
    """A folder with a path that is short enough for a socket."""
    require_linux()
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


@pytest.fixture
def session(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[dict[str, str]]:
    """An unlocked keyring that this process, too, finds."""
    with keyring_session(folder) as variables:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        yield variables


@pytest.fixture
def secretstorage(session: dict[str, str]) -> Any:
    """The library that talks to it, to look behind the store's back."""
    assert session
    return import_module("secretstorage")


def test_the_master_key_stands_in_the_keyring(path: Path, session: dict[str, str]) -> None:
    assert session
    store = Store(str(path), "auto")
    store.set("openai/dev", KEY)
    again = Store(str(path), "auto")
    assert again.status().locked
    assert again.fetch("openai/dev").value == KEY
    assert again.status().master_key == "keyring"


def test_a_key_that_was_removed_from_it_is_missed(
    path: Path, session: dict[str, str], secretstorage: Any
) -> None:
    assert session
    Store(str(path), "auto").set("openai/dev", KEY)
    with closing(secretstorage.dbus_init()) as bus:
        (item,) = secretstorage.get_default_collection(bus).search_items({"service": "brokerctl"})
        item.delete()
    with pytest.raises(KeyringUnavailable, match="has no key for"):
        Store(str(path), "auto").fetch("openai/dev")


@contextmanager
def _left_open_by_the_library() -> Generator[None]:
    """Let go of the connections that `keyring` does not close when the keyring refuses."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        yield
        gc.collect()


def test_a_locked_keyring_opens_nothing_and_loses_nothing(
    path: Path, session: dict[str, str], secretstorage: Any
) -> None:
    assert session
    Store(str(path), "auto").set("openai/dev", KEY)
    before = path.read_bytes()
    with closing(secretstorage.dbus_init()) as bus:
        secretstorage.get_default_collection(bus).lock()
    store = Store(str(path), "auto")
    other = Store(str(path.with_name("other")), "auto")
    with _left_open_by_the_library():
        for use in (store.list, lambda: store.set("openai/dev", b"sk-new")):
            with pytest.raises(KeyringUnavailable, match="refuses"):
                use()
        with pytest.raises(Locked, match="refuses"):
            other.set("openai/dev", KEY)
    assert path.read_bytes() == before
    assert os.listdir(path.parent) == [path.name]


def test_a_keyring_that_ended_is_unavailable(
    path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with keyring_session(folder) as variables:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        Store(str(path), "auto").set("openai/dev", KEY)
    with pytest.raises(KeyringUnavailable, match="no keyring") as caught:
        Store(str(path), "auto").fetch("openai/dev")
    assert str(path) in caught.value.hint


def test_a_desktop_without_a_keyring_has_none(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with bus_session(folder) as variables:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        assert find_keyring() is None


def test_no_variable_can_lead_the_key_elsewhere(
    path: Path, session: dict[str, str], secretstorage: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert session
    forgotten_at_logout = "/org/freedesktop/secrets/collection/session"
    monkeypatch.setenv("KEYRING_PROPERTY_PREFERRED_COLLECTION", forgotten_at_logout)
    monkeypatch.setenv("KEYRING_PROPERTY_SCHEME", "KeePassXC")
    control = import_module("keyring.backends.SecretService").Keyring()
    assert control.preferred_collection == forgotten_at_logout
    Store(str(path), "auto").set("openai/dev", KEY)
    with closing(secretstorage.dbus_init()) as bus:
        search = {"service": "brokerctl"}
        default = secretstorage.get_default_collection(bus)
        assert len(list(default.search_items(search))) == 1
        other = secretstorage.Collection(bus, forgotten_at_logout)
        assert list(other.search_items(search)) == []


# As keyrings.alt does it: a plug-in that is chosen where there is nothing better, and that writes
# what it is given into a file.
_TRAP = """
import os
from keyring.backend import KeyringBackend

class Keyring(KeyringBackend):
    priority = 9.9
    def get_password(self, service, username):
        return open(os.environ["TRAP"]).read()
    def set_password(self, service, username, password):
        open(os.environ["TRAP"], "w").write(password)
"""
_USE = """
import sys
from brokerd.store import Store
from brokershim.errors import Locked
try:
    Store(sys.argv[1], "auto").set("openai/dev", b"sk-value")
    print("stored")
except Locked as error:
    print(error.message)
print("plaintrap" in sys.modules)
"""
_CONTROL = """
import keyring
keyring.set_password("brokerctl", "id", "in clear")
"""


def _trap(tmp_path: Path, how: str) -> dict[str, str]:
    """Lay a plug-in that writes in clear; return the variables of who falls for it."""
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "plaintrap.py").write_text(_TRAP)
    variables = {
        "PYTHONPATH": str(tmp_path / "lib"),
        "TRAP": str(tmp_path / "trapped"),
        "XDG_CONFIG_HOME": str(tmp_path / "config"),
    }
    if how == "installed":
        info = tmp_path / "lib" / "plaintrap-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: plaintrap\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text("[keyring.backends]\ntrap = plaintrap\n")
    elif how == "configured":
        config = tmp_path / "config" / "python_keyring" / "keyringrc.cfg"
        config.parent.mkdir(parents=True)
        config.write_text("[backend]\ndefault-keyring=plaintrap.Keyring\n")
    else:
        variables["PYTHON_KEYRING_BACKEND"] = "plaintrap.Keyring"
    return variables


def _run(code: str, variables: dict[str, str], *args: str) -> list[str]:
    command = [sys.executable, "-c", code, *args]
    environment = {**os.environ, **variables}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


@pytest.mark.parametrize("how", ["installed", "configured", "named in the environment"])
def test_a_keyring_that_writes_in_clear_is_never_used(path: Path, tmp_path: Path, how: str) -> None:
    variables = {**_trap(tmp_path, how), **NOWHERE}
    said = _run(_USE, variables, str(path))
    assert said == ["there is no store yet, and no keyring of the operating system", "False"]
    assert not path.exists()
    assert not (tmp_path / "trapped").exists()
    _run(_CONTROL, variables)
    assert (tmp_path / "trapped").read_text() == "in clear"  # the trap does work


@pytest.mark.parametrize("how", ["installed", "configured", "named in the environment"])
def test_the_real_keyring_is_used_whatever_else_is_there(
    path: Path, tmp_path: Path, session: dict[str, str], how: str
) -> None:
    said = _run(_USE, {**_trap(tmp_path, how), **session}, str(path))
    assert said == ["stored", "False"]
    assert not (tmp_path / "trapped").exists()
    assert Store(str(path), "auto").fetch("openai/dev").value == KEY
