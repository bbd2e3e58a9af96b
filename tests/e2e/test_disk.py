"""What happens on a disk that is full, read-only, damaged or open to others? Nothing is given."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from demo.provider import Provider
from tests.e2e.session import Session
from tests.e2e.transcript import like
from tests.support.require import require_linux, require_root

ASKS = "while True: print(ask(), flush=True); input()"


@pytest.fixture
def small(provider: Provider, tmp_path: Path) -> Iterator[Session]:
    """A broker whose state stands on a disk of 1 MiB of its own."""
    require_linux()
    require_root()
    (tmp_path / "home").mkdir()
    session = Session(tmp_path / "home", provider)
    os.makedirs(session.state, 0o700)
    mount(session, "size=1m,mode=0700")
    session.unlock()
    session.store()
    session.trust()
    yield session
    session.close()
    subprocess.run(["umount", session.state], check=True)


def mount(session: Session, options: str) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", session.state], check=True)


def fill(session: Session) -> str:
    """Leave not a byte free, and return the path of what takes the place."""
    path = os.path.join(session.state, "filler")
    with open(path, "wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(b"x" * 4096)
    with open(path, "ab", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(b"x")
    return path


def test_without_an_audit_no_key_is_given_and_later_it_is_again(small: Session) -> None:
    with small.starts(ASKS) as app:
        assert "is good" in app.says()
        filler = fill(small)
        # What is left of the log's last block still takes a few events.
        tries = (small.run("brokerctl run true") for _ in range(20))
        done = next(each for each in tries if each.status != 0)
        assert done.status == 6
        assert like(done.stderr, "…error: …audit…\n…hint: free disk space or mend …")
        small.run("brokerctl revoke --all")
        assert small.run("brokerctl leases").stderr == "brokerctl: no leases\n"
        os.unlink(filler)
        assert "is good" in small.app("print(ask())").stdout
    assert small.run("brokerctl audit verify").status == 0


def test_a_secret_is_not_half_stored_on_a_full_disk(small: Session) -> None:
    before = small.run("brokerctl secret show openai/dev").stdout
    filler = fill(small)
    done = small.run("brokerctl secret set openai/dev", small.new_key())
    assert done.status == 6, done
    os.unlink(filler)
    assert small.run("brokerctl secret show openai/dev").stdout == before
    assert "is good" in small.app("print(ask())").stdout


def test_a_daemon_does_not_start_where_it_cannot_write(small: Session) -> None:
    small.stop()
    subprocess.run(["mount", "-o", "remount,ro", small.state], check=True)
    try:
        done = small.run("brokerctl daemon start")
        assert done.status != 0
        assert "Read-only file system" in done.stderr
    finally:
        subprocess.run(["mount", "-o", "remount,rw", small.state], check=True)
    assert small.unlock().status == 0


@pytest.mark.parametrize("place", [0, 100, -1])
def test_a_damaged_store_is_named_and_left_as_it_is(fresh: Session, place: int) -> None:
    fresh.unlock()
    fresh.store()
    fresh.trust()
    fresh.stop()
    path = Path(fresh.state) / "secrets.sealed"
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)
    done = fresh.unlock()
    assert done.status == 6, done
    assert "secrets.sealed" in done.stderr
    for command in ("brokerctl secret set openai/dev", "brokerctl run true"):
        assert fresh.run(command, fresh.new_key()).status in (6, 8)  # damaged, or still locked
    assert path.read_bytes() == bytes(data)


@pytest.mark.parametrize("name", [".config/brokerctl", ".local/state/brokerctl", "run/brokerctl"])
def test_a_folder_that_others_may_enter_is_refused(fresh: Session, name: str) -> None:
    fresh.unlock()
    fresh.store()
    fresh.stop()
    path = os.path.join(fresh.root, name)
    os.chmod(path, 0o755)
    done = fresh.run("brokerctl daemon start")
    assert done.status == 3
    assert like(
        done.stderr,
        f"""
        brokerctl: error: {path} has mode 0755, open to others
        brokerctl: hint: chmod 0700 {path}
        """,
    )
    os.chmod(path, 0o700)
    assert fresh.run("brokerctl daemon start").status == 0


@pytest.mark.parametrize(
    ("name", "status"), [("secrets.sealed", 3), ("audit", 6), ("journal.jsonl", 6)]
)
def test_a_link_in_the_place_of_a_file_is_refused(fresh: Session, name: str, status: int) -> None:
    fresh.unlock()
    fresh.store()
    fresh.stop()
    path = Path(fresh.state) / name
    moved = path.with_name("moved")
    path.rename(moved)
    path.symlink_to(moved)
    done = fresh.run("brokerctl unlock", fresh.passphrase)
    assert done.status == status, done
    assert str(path) in done.stderr
