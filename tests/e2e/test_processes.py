"""Who is inside a session: children of every kind, and no orphan; and what is left when it ends?"""

from __future__ import annotations

import signal
from datetime import UTC, datetime

import pytest

from tests.e2e.session import Session, eventually
from tests.e2e.transcript import like

POOL = """
import multiprocessing as mp
import os

def work(_):
    return os.getpid(), ask()

if __name__ == "__main__":
    print(ask(), flush=True)
    with mp.get_context("{method}").Pool(2) as pool:
        for pid, answer in pool.map(work, range(2), chunksize=1):
            print(pid, answer, flush=True)
    print(ask())
"""
FORK = """
import os
print(ask(), flush=True)
if os.fork() == 0:
    print("child", ask(), flush=True)
    os._exit(0)
os.wait()
print("parent", ask())
"""
CHILD = """
import subprocess, sys
print(ask(), flush=True)
subprocess.run({command})
"""
ORPHAN = """
import os, time
middle = os.fork()
if middle == 0:
    if os.fork() == 0:
        parent = os.getppid()
        input()
        while os.getppid() == parent:
            time.sleep(0.01)
        print("orphan", ask(), flush=True)
        os._exit(0)
    print("inside", ask(), flush=True)
    os._exit(0)
os.waitpid(middle, 0)
print("root", ask(), flush=True)
time.sleep(60)
"""
LEFT = """
import os, time
if os.fork() == 0:
    print(ask(), flush=True)
    root = os.getppid()
    while os.getppid() == root:
        time.sleep(0.01)
    print(ask(), flush=True)
    os._exit(0)
print(ask(), flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize("method", ["spawn", "fork", "forkserver"])
def test_workers_of_multiprocessing_lease_their_own(session: Session, method: str) -> None:
    done = session.app(POOL.format(method=method))
    first, *workers, last = done.stdout.splitlines()
    assert "is good" in first
    assert "is good" in last
    assert all("is good" in each for each in workers)
    pids = {int(each.split()[0]) for each in workers}
    leased = {each["pid"] for each in session.events(event="lease.acquired", secret="openai/dev")}
    assert pids <= leased


def test_a_forked_child_does_not_use_its_parents_connection(session: Session) -> None:
    done = session.app(FORK)
    assert [like(line, "…is good.") for line in done.stdout.splitlines()] == [True] * 3, done


@pytest.mark.parametrize(
    "command",
    [
        '[sys.executable, "child.py"]',
        '["sh", "-c", "python child.py; true"]',
        '["sh", "-c", "sh -c \'python child.py; true\'; true"]',
        '["env", "python", "-c", "from ask import ask; print(ask())"]',
    ],
)
def test_children_and_grandchildren_are_inside(session: Session, command: str) -> None:
    session.script("child.py", "from ask import ask\nprint(ask())")
    done = session.app(CHILD.format(command=command))
    assert done.stdout.count("is good.") == 2, done


def test_an_orphan_is_outside_and_is_told_so(session: Session) -> None:
    with session.starts(ORPHAN) as app:
        assert like(app.says(), "inside …is good.")
        assert like(app.says(), "root …is good.")
        app.go_on()
        assert like(
            app.says(),
            "orphan 403 brokerctl: process … is outside session …: its ancestry does not reach "
            "process … (keep the parent process alive, or start … its own `brokerctl run`)",
        )
    assert session.events(event="request.refused")[-1]["kind"] == "denied.orphan"


@pytest.mark.parametrize("name", ["SIGKILL", "SIGTERM", "SIGSEGV"])
def test_a_session_ends_with_its_root_whatever_ends_it(session: Session, name: str) -> None:
    with session.starts(LEFT) as app:
        assert "is good" in app.says()
        assert "is good" in app.says()
        opened = session.events(event="session.opened", root=app.pid)[-1]
        killed = datetime.now(UTC)
        app.signal(signal.Signals[name])
        # The child lives on; what it asks now is refused.
        assert like(app.says(), "403 brokerctl: …has ended…")
        label = opened["session"]
        assert eventually(lambda: bool(session.events(event="session.ended", session=label)))
        assert app.end() == -signal.Signals[name]
    (ended,) = session.events(event="session.ended", session=label)
    assert ended["reason"] == "its root process ended"
    leases = session.events(event="lease.ended", session=label)
    assert len(leases) == 2
    for each in [ended, *leases]:
        assert (datetime.fromisoformat(each["time"]) - killed).total_seconds() < 1.0


def test_a_session_inside_a_session_has_its_own_secrets(session: Session) -> None:
    session.store("openai/inner")
    session.trust('OPENAI_API_KEY = "openai/dev"\nSECOND_KEY = "openai/inner"\n')
    session.script("inner.py", "from ask import ask\nprint(ask(), flush=True)")
    done = session.app(
        """
        import subprocess
        inner = ["brokerctl", "run", "--env", "OPENAI_API_KEY=openai/inner", "--", "python"]
        print(ask(), flush=True)
        subprocess.run([*inner, "inner.py"])
        print(ask(), flush=True)
        """,
    )
    session.trust()
    assert done.stdout.count("is good.") == 3, done
    sent = [each.key for each in session.provider.asked[-3:]]
    assert sent[0] == sent[2] != sent[1]
