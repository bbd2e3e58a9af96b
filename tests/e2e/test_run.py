"""Is a program that `brokerctl run` starts the program that a shell would have started?"""

from __future__ import annotations

import os
import signal

import pytest

from demo.home import Done
from tests.brokerctl.pseudo_terminal import PseudoTerminal
from tests.e2e.session import Session, eventually

HANDLER = """
import os, signal, sys

def handle(number, frame):
    os.write(1, f"got {{signal.Signals(number).name}}\\n".encode())
    sys.exit(5)

signal.signal(signal.{name}, handle)
print("ready", flush=True)
while True:
    signal.pause()
"""


@pytest.mark.parametrize("status", [0, 1, 7, 255])
def test_its_exit_status_is_the_programs(session: Session, status: int) -> None:
    assert session.run(f"brokerctl run sh -c 'exit {status}'") == Done(status, "", "")


@pytest.mark.parametrize("name", ["TERM", "KILL", "SEGV"])
def test_a_program_that_dies_of_a_signal_is_seen_to(session: Session, name: str) -> None:
    done = session.run(f"brokerctl run sh -c 'kill -{name} $$'")
    assert done.status == -signal.Signals[f"SIG{name}"]


def test_it_has_the_pid_that_the_command_had(session: Session) -> None:
    with session.starts("import os; print(os.getpid())") as app:
        assert app.says() == str(app.pid)


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1"])
def test_signals_reach_it_and_its_own_handlers_run(session: Session, name: str) -> None:
    with session.starts(HANDLER.format(name=name)) as app:
        assert app.says() == "ready"
        app.signal(signal.Signals[name])
        assert app.says() == f"got {name}"
        assert app.end() == 5


REPEAT = """
import signal, sys

signal.signal(signal.SIGINT, signal.SIG_DFL)
print("begun", flush=True)
for line in sys.stdin:
    print("got", line, end="", flush=True)
"""


def shell_that_runs_it(session: Session) -> PseudoTerminal:
    """Begin an interactive shell, and in it a program that repeats each line.

    Nothing may be typed before who is to read it has shown that it is there: what comes while
    bash hands the terminal over goes to the other, or is lost. And the program is no script of
    a shell: dash loses a Ctrl-C that comes while it starts a command.
    """
    session.script("repeat.py", REPEAT)
    shell = session.terminal("bash --norc -i", PS1="=> ")
    shell.expect("=> ")
    shell.type("brokerctl run python repeat.py\n")
    shell.expect("begun\r\n")
    return shell


def test_ctrl_c_ends_it_and_not_the_shell(session: Session) -> None:
    shell = shell_that_runs_it(session)
    shell.type("\x03")
    shell.expect("^C\r\n=> ")
    shell.type("echo status $?; exit\n")
    assert shell.end() == 0
    assert f"status {128 + signal.SIGINT}" in shell.seen


def test_a_shell_stops_it_and_goes_on_with_it(session: Session) -> None:
    shell = shell_that_runs_it(session)
    shell.type("\x1a")
    shell.expect("Stopped")
    shell.expect("python repeat.py\r\n=> ")
    shell.type("fg; echo status $?; exit\n")
    shell.expect("\r\nbrokerctl run python repeat.py\r\n")
    assert eventually(lambda: os.tcgetpgrp(shell.master) != shell.process.pid)
    shell.type("a line\n")
    shell.expect("got a line\r\n")
    shell.type("\x04")
    assert shell.end() == 0
    assert "status 0" in shell.seen


def test_it_reads_what_is_piped_in_and_writes_into_pipes(session: Session) -> None:
    text = "a line\n\x01\x7f and another\n" * 1000
    assert session.run("brokerctl run cat", text) == Done(0, text, "")


def test_it_ends_when_nobody_reads_its_pipe(session: Session) -> None:
    done = session.run("bash -c 'brokerctl run yes | head -1; echo ${PIPESTATUS[0]}'")
    assert done == Done(0, f"y\n{128 + signal.SIGPIPE}\n", "")


def test_it_has_the_terminal(session: Session) -> None:
    terminal = session.terminal("brokerctl run sh -c 'test -t 0 && test -t 1 && test -t 2'")
    assert terminal.end() == 0


def test_its_arguments_arrive_as_they_were(session: Session) -> None:
    done = session.run("""brokerctl run printf '[%s]' '' 'two words' --help '*' "it's" -- -x""")
    assert done == Done(0, "[][two words][--help][*][it's][--][-x]", "")


def test_what_is_not_there_is_told_as_a_shell_tells_it(session: Session) -> None:
    done = session.run("brokerctl run no-such-program")
    assert done.status == 127
    assert "no-such-program: command not found" in done.stderr
    session.script("plain.txt", "not a program")
    assert session.run("brokerctl run ./plain.txt").status == 126


def test_a_python_that_would_not_load_the_shim_is_refused(session: Session) -> None:
    for option in ("-I", "-E", "-S", "-sEu"):
        done = session.run(f"brokerctl run python {option} app.py")
        assert done.status == 2
        assert "keeps the shim out" in done.stderr


def test_nothing_of_ours_is_in_the_programs_way(session: Session) -> None:
    """The app finds its own modules, and of ours only those that it needs."""
    session.script("client.py", "NAME = 'of the app'")
    session.script(
        "app.py",
        """
        import sys
        import client
        print(client.NAME)
        print([each for each in sys.path if each.endswith("/boot")] == sys.path[1:2])
        print({"click", "brokerd", "brokerctl"} & set(sys.modules))
        """,
    )
    assert session.run("brokerctl run python app.py") == Done(0, "of the app\nTrue\nset()\n", "")
