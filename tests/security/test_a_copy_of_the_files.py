"""Claims 16 and 17: someone has the files, reads them, changes them, or lays a trap beside them."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from brokerd.store import format as store_format
from brokerd.store import masterkey
from brokershim.errors import BrokerError, Locked
from demo import search
from demo.forms import Needles
from tests.security.scene import KEY, SECRET, Scene, lease
from tests.support.daemon import PASSPHRASE, Daemon, World, started

OTHER = "sk-proj-another-8d2c3b4a59687f6e5d4c3b2a+/="
Document = dict[str, Any]
Change = Callable[[Document], object]


def _swap_values(document: Document) -> None:
    """Give one secret's sealed value to the other: the app would send it to the wrong provider."""
    first, second = (document["secrets"][name]["versions"][-1] for name in (SECRET, "openai/b"))
    first["sealed"], second["sealed"] = second["sealed"], first["sealed"]


def _redirect(document: Document) -> None:
    document["secrets"][SECRET]["hosts"] = ["attacker.example"]


def _prolong(document: Document) -> None:
    document["secrets"][SECRET]["max_ttl"] = 86400.0


def _go_back(document: Document) -> None:
    """Make an older value the current one."""
    versions = document["secrets"][SECRET]["versions"]
    versions[-1]["sealed"], versions[0]["sealed"] = versions[0]["sealed"], versions[-1]["sealed"]


def _forget(document: Document) -> None:
    del document["secrets"]["openai/b"]


def _weaken(document: Document) -> None:
    """Have the passphrase derived so cheaply that it can be guessed."""
    document["master_key"]["kdf"].update(iterations=1, memory_kib=8)


def _exhaust(document: Document) -> None:
    """Have it derived so expensively that the machine has no memory left."""
    document["master_key"]["kdf"].update(memory_kib=2**30)


def _flip(document: Document) -> None:
    sealed = bytearray(base64.b64decode(document["secrets"][SECRET]["versions"][-1]["sealed"]))
    sealed[-1] ^= 1
    document["secrets"][SECRET]["versions"][-1]["sealed"] = base64.b64encode(sealed).decode()


CHANGES: tuple[Change, ...] = (
    _swap_values, _redirect, _prolong, _go_back, _forget, _weaken, _exhaust, _flip,
)  # fmt: skip


def _changed(data: bytes, change: Change) -> bytes:
    """Return the store changed, in the one spelling that the daemon accepts."""
    document = json.loads(data)
    change(document)
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode() + b"\n"


@pytest.fixture
def store(scene: Scene) -> Path:
    scene.owner.call("secret.set", name="openai/b", value=OTHER)
    scene.owner.call("secret.set", name=SECRET, value=KEY[::-1])
    scene.owner.call("secret.set", name=SECRET, value=KEY)
    scene.world.grant("openai/*")
    return scene.world.state / "secrets.sealed"


def test_claim_16_the_files_hold_no_key_in_any_form(scene: Scene, store: Path) -> None:
    root = scene.session()
    assert lease(root) == KEY
    report = search.in_folders(Needles([KEY, KEY[::-1], OTHER]), [str(scene.world.root)])
    assert report.clean, report.found
    assert store.stat().st_size < report.size  # it was read, too
    planted = scene.world.home / "planted"
    planted.write_text(base64.b64encode(b"user:" + KEY.encode()).decode())
    found = search.in_folders(Needles([KEY]), [str(scene.world.root)]).found  # the control
    planted.unlink()
    assert found == [f"{planted}: in base64"]


@pytest.mark.parametrize("change", CHANGES)
def test_claim_16_a_changed_store_is_found_and_left_alone(
    scene: Scene, store: Path, change: Change
) -> None:
    root = scene.session()
    good = store.read_bytes()
    bad = _changed(good, change)
    assert bad != good
    _refuses(root, scene, store, bad)
    scene.owner.call("store.lock")  # and with nothing in memory
    with pytest.raises(BrokerError) as found:
        scene.owner.call("store.unlock", passphrase=PASSPHRASE)
    assert found.value.kind in ("backend.store_corrupted", "locked.wrong_passphrase")
    assert store.read_bytes() == bad
    _put_back(scene, store, good)
    assert lease(root) == KEY


@pytest.mark.parametrize("keep", [0, 1, 100, -1])
def test_claim_16_a_torn_store_is_found_and_left_alone(
    scene: Scene, store: Path, keep: int
) -> None:
    root, good = scene.session(), store.read_bytes()
    _refuses(root, scene, store, good[:keep])
    _put_back(scene, store, good)
    assert lease(root) == KEY


def test_claim_16_an_older_copy_is_found_while_the_daemon_runs(scene: Scene, store: Path) -> None:
    """A revoked key that was replaced must not come back with a copy of the file."""
    root, old = scene.session(), store.read_bytes()
    scene.owner.call("secret.set", name=SECRET, value=OTHER)
    good = store.read_bytes()
    _refuses(root, scene, store, old)
    _put_back(scene, store, good)
    assert root.call("lease.acquire", secret=SECRET)["value"] == OTHER


def test_claim_16_another_store_in_its_place_is_found(scene: Scene, store: Path) -> None:
    """The attacker's own store, with a passphrase and hosts of their choice."""
    good = store.read_bytes()
    _refuses(scene.session(), scene, store, _changed(good, lambda doc: doc.update(id="0" * 32)))
    _put_back(scene, store, good)


def _refuses(root: Any, scene: Scene, store: Path, bad: bytes) -> None:
    """See that nothing is read from the file, nor written over it."""
    store.write_bytes(bad)
    for ask in (
        lambda: lease(root),
        lambda: scene.owner.call("secret.set", name="openai/c", value=OTHER),
        lambda: scene.owner.call("secret.remove", name=SECRET),
        lambda: scene.owner.call("secret.list"),
    ):
        with pytest.raises(BrokerError) as found:
            ask()
        assert found.value.kind == "backend.store_corrupted"
        assert str(store) in found.value.message
    assert store.read_bytes() == bad


def _put_back(scene: Scene, store: Path, good: bytes) -> None:
    store.write_bytes(good)
    scene.owner.call("store.unlock", passphrase=PASSPHRASE)


# 17. The master key


def test_claim_17_no_file_holds_the_master_key_or_the_passphrase(scene: Scene, store: Path) -> None:
    document = store_format.decode(store.read_bytes()).document
    assert document.kdf is not None
    assert document.kdf.memory_kib >= 64 * 1024  # RFC 9106, section 4
    master = masterkey.derive(PASSPHRASE, document.kdf)
    forms = (master, master.hex().encode(), base64.b64encode(master)[:-2], PASSPHRASE.encode())
    looked_at = 0
    for path in scene.world.root.rglob("*"):
        if path.is_file():
            looked_at += 1
            data = path.read_bytes()
            assert not [form for form in forms if form in data], path
    assert looked_at > 5


_THIEF = """
import os
from keyring.backend import KeyringBackend
open(os.environ["HOME"] + "/loaded", "w").close()
class Keyring(KeyringBackend):
    priority = 99
    def get_password(self, service, user): return None
    def set_password(self, service, user, password):
        open(os.environ["HOME"] + "/stolen", "w").write(password)
"""


def _lay_the_trap(world: World) -> None:
    """Name a keyring that writes in clear, in each way that `keyring` lets itself be told."""
    folder = world.home / "trap"
    folder.mkdir()
    (folder / "thief.py").write_text(_THIEF)
    settings = f"[backend]\ndefault-keyring=thief.Keyring\nkeyring-path={folder}\n"
    (world.root / "config" / "python_keyring").mkdir()
    (world.root / "config" / "python_keyring" / "keyringrc.cfg").write_text(settings)
    world.environ["PYTHON_KEYRING_BACKEND"] = "thief.Keyring"
    world.environ["PYTHONPATH"] = str(folder)


def test_claim_17_a_keyring_that_writes_in_clear_is_not_even_loaded(world: World) -> None:
    _lay_the_trap(world)
    world.write_config("config.toml", "")  # master_key = "auto"
    with started(world) as daemon:
        with pytest.raises(Locked) as refused:
            daemon.call("secret.set", name=SECRET, value=KEY)
        assert refused.value.details == {"needs": "new-passphrase"}
        daemon.call("store.unlock", passphrase=PASSPHRASE, create=True)
        daemon.call("secret.set", name=SECRET, value=KEY)
    assert not (world.home / "loaded").exists()
    assert not (world.home / "stolen").exists()


def test_claim_17_that_trap_catches_a_program_that_asks_keyring_itself(world: World) -> None:
    """The control."""
    _lay_the_trap(world)
    code = "import keyring; keyring.set_password('a', 'b', 'in clear')"
    subprocess.run([sys.executable, "-c", code], env=world.environ, check=True)
    assert (world.home / "stolen").read_text() == "in clear"


def test_claim_17_a_wrong_passphrase_opens_nothing(daemon: Daemon) -> None:
    daemon.call("store.lock")
    for wrong in ("", "x", PASSPHRASE[:-1], PASSPHRASE + " ", PASSPHRASE.upper()):
        with pytest.raises(Locked):
            daemon.call("store.unlock", passphrase=wrong)
        assert daemon.call("daemon.status")["store"]["locked"]
