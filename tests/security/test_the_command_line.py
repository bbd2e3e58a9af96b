"""Claims 27 and 28: a stranger's checkout, and what it shows to the person at the terminal."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.brokerctl.pseudo_terminal import PseudoTerminal
from tests.e2e.session import Session

BROKERCTL = str(Path(sys.executable).with_name("brokerctl"))
_PLANTED = "import os; open(os.environ['HOME'] + '/PLANTED', 'a').write(__name__ + '\\n')\n"
_MODULES = (
    "json", "click", "httpx", "httpx2", "brokershim", "brokerctl", "brokerd", "keyring", "tomllib",
    "importlib", "asyncio", "sitecustomize", "usercustomize", "litellm", "conftest", "readline",
)  # fmt: skip
_COMMANDS = (
    "--help", "--version", "status", "leases", "audit", "audit verify", "doctor", "daemon status",
    "daemon logs", "secret list", "secret show openai/dev", "init", "allow", "completion bash",
    "revoke --all", "run true", "unlock", "daemon stop", "daemon start",
)  # fmt: skip


@pytest.fixture
def checkout(home: Session) -> Path:
    """A folder full of traps, as a repository on the web may be."""
    folder = Path(home.root, "checkout")
    folder.mkdir(exist_ok=True)
    for name in _MODULES:
        (folder / f"{name}.py").write_text(_PLANTED)
    for name in ("python3", "python", "true", "brokerctl", "bash"):
        (folder / name).write_text("#!/bin/sh\necho program >> $HOME/PLANTED\n")
        (folder / name).chmod(0o755)
    (folder / "broker.toml").write_text('OPENAI_API_KEY = "openai/dev"\n')
    (folder / "pyvenv.cfg").write_text("home = .\n")
    (folder / "traps.pth").write_text(_PLANTED)
    return folder


def test_claim_27_no_command_runs_code_of_the_folder_it_is_typed_in(
    home: Session, checkout: Path
) -> None:
    planted = Path(home.root, "PLANTED")
    for command in _COMMANDS:
        stdin = home.passphrase if command == "unlock" else ""
        home.run(f"brokerctl {command}", stdin, cwd=str(checkout))
        assert not planted.exists(), f"{command}: {planted.read_text()}"
    home.unlock()


def test_claim_27_nor_does_completion(home: Session, checkout: Path) -> None:
    for words in (
        "brokerctl ",
        "brokerctl secret show ",
        "brokerctl run --env ",
        "brokerctl revoke ",
    ):
        env = {"_BROKERCTL_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": "3"}
        home.run("brokerctl", cwd=str(checkout), env=env)
    assert not Path(home.root, "PLANTED").exists()


def test_claim_27_those_traps_catch_a_careless_program(home: Session, checkout: Path) -> None:
    """The control."""
    planted = Path(home.root, "PLANTED")
    home.run("python -c 'import json'", cwd=str(checkout))
    assert planted.read_text() == "json\n"
    planted.unlink()


def test_claim_27_a_daemon_obeys_no_variable_of_the_command_that_starts_it(home: Session) -> None:
    """A trap in the environment is one for as long as the daemon runs."""
    folder = Path(home.root, "path")
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(
        "import sys\nif 'brokerd' in sys.orig_argv: " + _PLANTED
    )
    home.stop()
    key = {"OPENAI_API_KEY": home.new_key()}
    done = home.run("brokerctl daemon start", env={"PYTHONPATH": str(folder), **key})
    assert done.status == 0
    assert not Path(home.root, "PLANTED").exists()
    daemon = Path(f"/proc/{home.daemon_pid()}")
    assert b"\0-I\0" in (daemon / "cmdline").read_bytes()  # python(1): no user site either
    environ = (daemon / "environ").read_bytes()
    assert b"PYTHONPATH" not in environ
    assert b"OPENAI_API_KEY" not in environ
    assert home.unlock().status == 0


# 28. The person at the terminal


_ESCAPES = "\x1b[2J\x1b]0;title\x07\u202e\r\u009b1A"


def test_claim_28_no_name_drives_the_terminal(home: Session) -> None:
    """The names of folders and programs are the attacker's choice, and are shown in questions."""
    home.store("openai/asked")
    folder = Path(home.root, f"app{_ESCAPES}is trusted")
    folder.mkdir()
    (folder / "broker.toml").write_text('OPENAI_API_KEY = "openai/dev"\n')
    program = Path(home.project, f"safe{_ESCAPES}.sh")
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    asked = ["run", "--env", "K=openai/asked", "--", str(program)]
    shown = _shown(home, home.project, asked, answer="n\n")
    for command in (["run", "true"], ["allow"], ["doctor"], ["init"], ["status"]):
        shown += _shown(home, str(folder), command)
    for character in ("\x1b", "\x07", "\u202e", "\u009b"):
        assert character not in shown
    assert "\r" not in shown.replace("\r\n", "")
    assert r"safe\x1b[2J" in shown


def _shown(home: Session, folder: str, words: list[str], answer: str = "") -> str:
    """Return what a command shows in a terminal; our own colours are left out."""
    environ = {**home.environment, "NO_COLOR": "1"}
    terminal = PseudoTerminal([BROKERCTL, *words], environ, Path(folder))
    if answer:
        terminal.expect("[y/N] ")
        terminal.type(answer)
    terminal.end()
    return terminal.seen


def test_claim_28_what_was_typed_before_the_question_is_no_answer(home: Session) -> None:
    """Instructions to paste: a command, and in the next line a y."""
    home.store("openai/asked")
    script = home.script(
        "slow.sh", "read line; exec brokerctl run --env K=openai/asked -- echo RAN"
    )
    terminal = PseudoTerminal(["/bin/sh", script], home.environment, Path(home.project))
    terminal.type("begin\ny\ny\n")
    terminal.expect("Let it, until it ends? [y/N] ")
    terminal.type("n\n")
    assert terminal.end() == 3
    assert "RAN" not in terminal.seen.replace("echo RAN", "")


def test_claim_28_without_a_terminal_nobody_says_yes(home: Session) -> None:
    home.store("openai/asked")
    done = home.run("brokerctl run --env K=openai/asked -- echo RAN", "y\ny\n")
    assert (done.status, done.stdout) == (3, "")


def test_claim_28_from_the_background_nobody_says_yes(home: Session) -> None:
    """Another job of the same terminal cannot answer in the person's place."""
    home.store("openai/asked")
    code = (
        "import os, subprocess, sys\n"
        "done = subprocess.run(sys.argv[1:], process_group=0, stdin=subprocess.DEVNULL,\n"
        "                      capture_output=True, text=True)\n"
        "print('ended', done.returncode, done.stdout)\n"
    )
    command = [BROKERCTL, "run", "--env", "K=openai/asked", "--", "echo", "RAN"]
    terminal = PseudoTerminal(
        [sys.executable, "-c", code, *command], home.environment, Path(home.project)
    )
    terminal.expect("ended 3")
    terminal.end()
