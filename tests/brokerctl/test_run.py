"""`brokerctl run`: what is asked of the daemon, of the person, and what the program then is."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from brokershim.errors import Locked, NotGranted, ProjectNotAllowed
from tests.brokerctl.conftest import CommandLine
from tests.brokerctl.pseudo_terminal import PseudoTerminal

KEY = "sk-proj-" + "A1b2C3d4" * 4
OPENED = {"session": "s1", "env": {"OPENAI_API_KEY": "openai/dev"}, "pending": [], "logins": []}
ENV = "import json, os; print(json.dumps(dict(os.environ)))"


@pytest.fixture
def project(cli: CommandLine) -> Path:
    path = cli.folder / "broker.toml"
    path.write_text('OPENAI_API_KEY = "openai/dev"\n')
    return path


def not_allowed(project: Path, state: str = "new") -> ProjectNotAllowed:
    facts = {"path": str(project), "sha256": "ab" * 32, "env": OPENED["env"], "state": state}
    return ProjectNotAllowed(f"{project} is {state}", details=facts)


def test_the_program_gets_references_and_a_session(cli: CommandLine, project: Path) -> None:
    fake = cli.daemon({"session.open": OPENED})
    done = cli.run("run", sys.executable, "-c", ENV, env={"OPENAI_API_KEY": KEY})
    assert done.returncode == 0, done.stderr
    env = json.loads(done.stdout)
    assert env["OPENAI_API_KEY"] == "brokerref:openai/dev"
    assert env["BROKER_SESSION"] == "s1"
    assert env["BROKER_SOCKET"] == cli.socket
    assert env["PYTHONPATH"].endswith("brokershim/boot")
    assert fake.params("session.open") == [
        {"program": sys.executable, "env": {}, "project": str(project)}
    ]


def test_the_script_is_named_and_the_project_of_a_folder_above_is_found(
    cli: CommandLine, project: Path
) -> None:
    fake = cli.daemon({"session.open": OPENED})
    cli.folder = cli.folder / "src"
    cli.folder.mkdir()
    (cli.folder / "app.py").write_text("print('ran')")
    assert cli.run("run", sys.executable, "app.py").stdout == "ran\n"
    asked = fake.params("session.open")[0]
    assert asked["script"] == str(cli.folder / "app.py")
    assert asked["project"] == str(project)


def test_env_alone_needs_no_project(cli: CommandLine) -> None:
    fake = cli.daemon({"session.open": OPENED})
    assert cli.run("run", "--env", "OPENAI_API_KEY=openai/dev", "--", "true").returncode == 0
    asked = fake.params("session.open")[0]
    assert asked["env"] == {"OPENAI_API_KEY": "openai/dev"}
    assert "project" not in asked


def test_without_a_project_and_without_env_it_ends_with_4(cli: CommandLine) -> None:
    fake = cli.daemon({"session.open": OPENED})
    done = cli.run("run", "true")
    assert done.returncode == 4
    assert "`brokerctl init`" in done.stderr
    assert fake.calls == []


@pytest.mark.usefixtures("project")
def test_everything_after_the_command_is_its_own(cli: CommandLine) -> None:
    cli.daemon({"session.open": OPENED})
    words = ["--help", "--", "-n", "--env", "A=b", ""]
    done = cli.run("run", sys.executable, "-c", "import sys; print(sys.argv[1:])", *words)
    assert done.stdout == f"{words}\n"


@pytest.mark.usefixtures("project")
@pytest.mark.parametrize("status", [0, 1, 7, 255])
def test_it_ends_as_the_program_does(cli: CommandLine, status: int) -> None:
    cli.daemon({"session.open": OPENED})
    assert cli.run("run", "sh", "-c", f"exit {status}").returncode == status


@pytest.mark.usefixtures("project")
def test_it_dies_of_the_signal_that_the_program_dies_of(cli: CommandLine) -> None:
    cli.daemon({"session.open": OPENED})
    assert cli.run("run", "sh", "-c", "kill -TERM $$").returncode == -signal.SIGTERM


@pytest.mark.usefixtures("project")
def test_the_program_has_our_pid_our_parent_and_our_input(cli: CommandLine) -> None:
    cli.daemon({"session.open": OPENED})
    script = "echo $$ $PPID; exec cat"
    process = subprocess.Popen(
        [*cli.command, "run", "sh", "-c", script],
        env=cli.env, cwd=cli.folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    shown, _ = process.communicate(b"all\x00of it\n\xff", timeout=60)
    first, _, rest = shown.partition(b"\n")
    assert first.split() == [b"%d" % process.pid, b"%d" % os.getpid()]
    assert rest == b"all\x00of it\n\xff"


@pytest.mark.usefixtures("project")
def test_the_program_inherits_our_descriptors_and_none_of_the_brokers(cli: CommandLine) -> None:
    cli.daemon({"session.open": OPENED})
    script = "import os; print(sorted(int(n) for n in os.listdir('/dev/fd')))"
    read_end, write_end = os.pipe()
    done = subprocess.run(
        [*cli.command, "run", sys.executable, "-c", script],
        env=cli.env, cwd=cli.folder, pass_fds=(write_end,), capture_output=True, check=True,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip
    os.close(read_end)
    os.close(write_end)
    open_ones = set(json.loads(done.stdout))
    listing = max(open_ones - {write_end})  # os.listdir's own
    assert open_ones - {listing} == {0, 1, 2, write_end}


_IGNORED = """
import signal
print([n.name for n in (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)
       if signal.getsignal(n) is signal.SIG_IGN])
"""


@pytest.mark.usefixtures("project")
def test_the_program_has_the_default_signals(cli: CommandLine) -> None:
    cli.daemon({"session.open": OPENED})
    shown = cli.run("run", "grep", "^SigIgn:", "/proc/self/status").stdout
    assert int(shown.split()[1], 16) & 0x7FFF_FFFF == 0  # the 31 that a program may set


@pytest.mark.usefixtures("project")
def test_a_signal_that_our_parent_ignores_stays_ignored(cli: CommandLine) -> None:
    cli.daemon({"session.open": OPENED})
    trapped = "trap '' INT HUP; exec \"$@\""
    done = subprocess.run(
        ["sh", "-c", trapped, "sh", *cli.command, "run", sys.executable, "-c", _IGNORED],
        env=cli.env, cwd=cli.folder, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout == "['SIGINT', 'SIGHUP']\n"


@pytest.mark.usefixtures("project")
def test_keys_in_the_environment_are_named_in_one_line(cli: CommandLine) -> None:
    cli.daemon({"session.open": OPENED})
    env = {"GROQ_API_KEY": KEY, "LD_PRELOAD": "", "KEPT": KEY}
    done = cli.run("run", "--keep", "KEPT", sys.executable, "-c", ENV, env=env)
    left = json.loads(done.stdout)
    assert not {"GROQ_API_KEY", "LD_PRELOAD"} & set(left)
    assert left["KEPT"] == KEY
    assert done.stderr == (
        "brokerctl: taken out of the environment: GROQ_API_KEY (real key), "
        "LD_PRELOAD (loads foreign code); `--keep NAME` keeps one\n"
    )


@pytest.mark.usefixtures("project")
def test_a_dotenv_with_a_key_is_warned_of(cli: CommandLine) -> None:
    cli.daemon({"session.open": OPENED})
    (cli.folder / ".env").write_text(f"GROQ_API_KEY={KEY}\n")
    done = cli.run("run", "true")
    assert done.returncode == 0
    assert len(done.stderr.splitlines()) == 1
    assert f"{cli.folder}/.env holds what looks like keys: GROQ_API_KEY" in done.stderr
    assert KEY not in done.stderr


@pytest.mark.usefixtures("project")
@pytest.mark.parametrize("option", ["-I", "-E", "-S", "-IB"])
def test_an_option_that_keeps_the_shim_out_is_refused(cli: CommandLine, option: str) -> None:
    fake = cli.daemon({"session.open": OPENED})
    done = cli.run("run", sys.executable, option, "-c", "pass")
    assert done.returncode == 2
    assert f"the option {option} keeps the shim out" in done.stderr
    assert "--no-shim" in done.stderr
    assert fake.calls == []


@pytest.mark.usefixtures("project")
def test_no_shim_leaves_it_to_the_app(cli: CommandLine) -> None:
    cli.daemon({"session.open": OPENED})
    done = cli.run("run", "--no-shim", sys.executable, "-I", "-c", ENV, env={"PYTHONPATH": "/x"})
    assert json.loads(done.stdout)["PYTHONPATH"] == "/x"


def test_a_program_that_is_not_there_opens_no_session(cli: CommandLine, project: Path) -> None:
    fake = cli.daemon({"session.open": OPENED})
    assert cli.run("run", "no-such-tool").returncode == 127
    assert cli.run("run", str(project)).returncode == 126
    assert fake.calls == []


@pytest.mark.usefixtures("project")
def test_a_program_that_the_kernel_refuses_ends_with_126(cli: CommandLine) -> None:
    cli.daemon({"session.open": OPENED})
    tool = cli.folder / "tool"
    for content in ("#!/no/such/interpreter\n", "\x00rubbish"):
        tool.write_text(content)
        tool.chmod(0o755)
        done = cli.run("run", "./tool")
        assert done.returncode == 126
        assert done.stderr.startswith("brokerctl: error: ./tool: ")


@pytest.mark.usefixtures("project")
def test_a_refusal_is_passed_on_and_nothing_runs(cli: CommandLine) -> None:
    cli.daemon({"session.open": NotGranted("no grant")})
    done = cli.run("run", "touch", "ran")
    assert done.returncode == 3
    assert not (cli.folder / "ran").exists()


def test_a_new_project_is_refused_without_a_terminal(cli: CommandLine, project: Path) -> None:
    fake = cli.daemon({"session.open": not_allowed(project)})
    done = cli.run("run", "touch", "ran")
    assert done.returncode == 3
    assert "`brokerctl allow`" in done.stderr
    assert fake.params("project.allow") == []
    assert not (cli.folder / "ran").exists()


@pytest.mark.parametrize(
    ("state", "words"), [("new", "was never trusted"), ("changed", "has changed since")]
)
def test_a_new_project_is_shown_and_asked_about(
    cli: CommandLine, project: Path, state: str, words: str
) -> None:
    def allow(params: dict[str, Any]) -> dict[str, Any]:
        fake.answers["session.open"] = OPENED
        return {"path": params["path"]}

    fake = cli.daemon({"session.open": not_allowed(project, state), "project.allow": allow})
    asking = cli.terminal("run", "echo", "it", "ran")
    asking.expect(f"{project} {words}")
    asking.expect("OPENAI_API_KEY  openai/dev")
    asking.expect("Trust this file? [y/N] ")
    asking.type("y\n")
    assert asking.end() == 0
    assert "it ran" in asking.seen
    assert fake.params("project.allow") == [{"path": str(project), "sha256": "ab" * 32}]


@pytest.mark.parametrize("answer", ["n\n", "\n", "yess\n", "\x04"])
def test_anything_but_yes_is_no(cli: CommandLine, project: Path, answer: str) -> None:
    fake = cli.daemon({"session.open": not_allowed(project)})
    asking = cli.terminal("run", "echo", "it", "ran")
    asking.expect("[y/N] ")
    asking.type(answer)
    assert asking.end() == 3
    assert fake.params("project.allow") == []
    assert "it ran" not in asking.seen


def test_a_projects_words_cannot_drive_the_terminal(cli: CommandLine, project: Path) -> None:
    problem = not_allowed(project)
    problem.details["env"] = {"A\x1b[2J": "b\nTrust this file? [y/N] y"}
    cli.daemon({"session.open": problem})
    asking = cli.terminal("run", "true")
    asking.expect("\nTrust this file? [y/N] ")
    assert "\x1b[2J" not in asking.seen
    asking.type("n\n")
    asking.end()


def test_the_question_is_asked_in_the_terminal_and_not_on_stdin(
    cli: CommandLine, project: Path
) -> None:
    cli.daemon({"session.open": not_allowed(project)})
    asking = cli.terminal("run", "true", stdin=b"y\n")
    asking.expect("[y/N] ")
    asking.type("n\n")
    assert asking.end() == 3


def test_what_needs_approval_is_asked_once_on_the_same_connection(cli: CommandLine) -> None:
    fake = cli.daemon({"session.open": {**OPENED, "pending": ["a/b", "c/d"]},
                       "session.approve": {}})  # fmt: skip
    asking = cli.terminal("run", "--env", "A=a/b", "--env", "C=c/d", "echo", "it", "ran")
    asking.expect("asks for: a/b, c/d")
    asking.expect("[y/N] ")
    asking.type("yes\n")
    assert asking.end() == 0
    assert "it ran" in asking.seen
    assert fake.params("session.approve") == [{"session": "s1", "secrets": ["a/b", "c/d"]}]
    assert [name for name, _ in fake.calls] == ["session.open", "session.approve"]


def test_what_needs_approval_is_refused_without_a_yes(cli: CommandLine) -> None:
    fake = cli.daemon({"session.open": {**OPENED, "pending": ["a/b"]}, "session.approve": {}})
    done = cli.run("run", "--env", "A=a/b", "touch", "ran")
    assert done.returncode == 3
    assert "policy.toml" in done.stderr
    asking = cli.terminal("run", "--env", "A=a/b", "touch", "ran")
    asking.expect("[y/N] ")
    asking.type("n\n")
    assert asking.end() == 3
    assert fake.params("session.approve") == []
    assert not (cli.folder / "ran").exists()


def test_from_the_background_nobody_is_asked(cli: CommandLine, project: Path) -> None:
    cli.daemon({"session.open": not_allowed(project)})
    script = 'set -m; "$@" run true & wait $!; echo "ended with $?"'
    shell = PseudoTerminal(["/bin/bash", "-c", script, "sh", *cli.command], cli.env, cli.folder)
    assert shell.end() == 0
    assert "ended with 3" in shell.seen
    assert "[y/N]" not in shell.seen


@pytest.mark.usefixtures("project")
def test_a_locked_store_is_unlocked_on_the_way(cli: CommandLine) -> None:
    def unlock(params: dict[str, Any]) -> dict[str, Any]:
        if "passphrase" not in params:
            raise Locked("locked", details={"needs": "passphrase"})
        fake.answers["session.open"] = OPENED
        return {"master_key": "passphrase", "created": False}

    locked = Locked("the store is locked", details={"needs": "passphrase"})
    fake = cli.daemon({"session.open": locked, "store.unlock": unlock})
    asking = cli.terminal("run", "echo", "it", "ran")
    asking.expect("Passphrase: ")
    asking.type("open sesame\n")
    assert asking.end() == 0
    assert "it ran" in asking.seen


@pytest.mark.usefixtures("project")
def test_the_socket_survives_an_app_that_moves_its_home(cli: CommandLine) -> None:
    cli.daemon({"session.open": OPENED})
    done = cli.run("run", sys.executable, "-c", ENV, env={"BROKER_SOCKET": cli.socket})
    assert json.loads(done.stdout)["BROKER_SOCKET"] == cli.socket
