"""Does the daemon come when it is needed, once; and what is left when it goes?"""

from __future__ import annotations

import os
import signal
import subprocess

import psutil

from tests.e2e.session import Session, eventually, runs
from tests.e2e.transcript import like
from tests.support.require import require_linux, require_root


def kill(pid: int) -> None:
    process = psutil.Process(pid)
    process.kill()
    assert eventually(lambda: not runs(pid))


def test_twenty_commands_at_once_start_it_exactly_once(fresh: Session) -> None:
    starting = [fresh.start("brokerctl secret list", stderr=subprocess.STDOUT) for _ in range(20)]
    said = [each.communicate(timeout=60)[0] for each in starting]
    assert said == ["brokerctl: no secret is stored\n"] * 20
    assert [each.returncode for each in starting] == [0] * 20
    assert len(fresh.events(event="daemon.started")) == 1
    fresh.unlock()
    fresh.store()


def test_it_does_not_inherit_a_key_from_the_shell_that_needed_it(fresh: Session) -> None:
    require_linux()
    require_root()  # nobody else may read its environment
    key = fresh.new_key()
    assert fresh.run("brokerctl daemon start", env={"OPENAI_API_KEY": key}).status == 0
    with open(f"/proc/{fresh.daemon_pid()}/environ") as file:
        assert "OPENAI_API_KEY" not in file.read()
    assert fresh.leaks() == []


def test_a_second_daemon_finds_the_first_and_ends(session: Session) -> None:
    pid = session.daemon_pid()
    done = session.run("python -I -m brokerd")
    assert done.status == 5
    assert "another daemon of this user runs already" in done.stderr
    assert session.daemon_pid() == pid


def test_two_daemons_started_at_once_end_up_as_one(fresh: Session) -> None:
    ends = [os.pipe() for _ in range(2)]
    both = [
        subprocess.Popen(
            ["python", "-I", "-m", "brokerd", "--ready-fd", str(write)],
            env=fresh.environment,
            pass_fds=(write,),
            stderr=subprocess.DEVNULL,
        )
        for _, write in ends
    ]
    said = []
    for read, write in ends:
        os.close(write)
        with os.fdopen(read) as file:
            said.append(file.read())
    ready = said.index("ready\n")
    assert like(said[1 - ready], 'error {…"kind": "unreachable.already_running"…')
    assert both[1 - ready].wait(10) == 5
    fresh.unlock()
    fresh.store()
    both[ready].terminate()
    assert both[ready].wait(10) == 0


def test_a_socket_that_a_killed_daemon_left_is_replaced(fresh: Session) -> None:
    fresh.unlock()
    key = fresh.store()
    fresh.trust()
    first = fresh.daemon_pid()
    kill(first)
    assert fresh.run("brokerctl daemon status").status == 5
    fresh.unlock()
    assert fresh.daemon_pid() != first
    assert "is good" in fresh.app("print(ask())").stdout
    assert fresh.provider.asked[-1].key == key
    assert fresh.run("brokerctl audit verify").status == 0


def test_a_running_app_is_told_that_its_daemon_was_killed(fresh: Session) -> None:
    fresh.unlock()
    fresh.store()
    fresh.trust()
    with fresh.starts("while True: print(ask(), flush=True); input()") as app:
        assert "is good" in app.says()
        kill(fresh.daemon_pid())
        app.go_on()
        assert like(app.says(), "403 brokerctl: no daemon listens on … (start it with …")
        fresh.unlock()
        app.go_on()
        assert like(app.says(), "403 brokerctl: …has ended, or the daemon was restarted…")
        fresh.unlock()
    assert fresh.run("brokerctl audit verify").status == 0


def test_a_running_app_loses_its_key_when_the_daemon_is_stopped(fresh: Session) -> None:
    fresh.unlock()
    fresh.store()
    fresh.trust()
    with fresh.starts("while True: print(ask(), flush=True); input()") as app:
        assert "is good" in app.says()
        assert fresh.run("brokerctl daemon stop").status == 0
        asked = len(fresh.provider.asked)
        app.go_on()
        assert "no daemon listens" in app.says()
        assert len(fresh.provider.asked) == asked
    ends = fresh.events(event="lease.ended")
    assert [each["reason"] for each in ends] == ["daemon stopped"]


def test_locking_the_store_takes_every_key_back(session: Session) -> None:
    with session.starts("while True: print(ask(), flush=True); input()") as app:
        assert "is good" in app.says()
        assert session.run("brokerctl lock").stdout == "locked\n"
        app.go_on()
        assert like(app.says(), "403 brokerctl: …locked… (…brokerctl unlock…")
        session.unlock()
        app.go_on()
        assert "is good" in app.says()


def test_it_ends_in_order_when_it_is_terminated(fresh: Session) -> None:
    fresh.unlock()
    fresh.store()
    pid = fresh.daemon_pid()
    os.kill(pid, signal.SIGTERM)
    assert eventually(lambda: not runs(pid))
    assert fresh.events()[-1]["event"] == "daemon.stopped"
    assert not os.path.lexists(f"{fresh.root}/run/brokerctl/broker.sock")


def test_it_ends_when_its_socket_is_taken_away(fresh: Session) -> None:
    fresh.unlock()
    fresh.store()
    pid = fresh.daemon_pid()
    os.unlink(f"{fresh.root}/run/brokerctl/broker.sock")
    assert eventually(lambda: not runs(pid))
    assert "the socket was removed or replaced" in fresh.run("brokerctl daemon logs").stdout
