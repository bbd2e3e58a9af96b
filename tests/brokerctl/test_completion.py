"""The completion scripts, in the shells that they are for."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.brokerctl.conftest import CommandLine
from tests.brokerctl.pseudo_terminal import PseudoTerminal
from tests.brokerctl.test_secret import ROW
from tests.support.require import require_program

_BASH = """
source <(brokerctl completion bash)
COMP_WORDS=({words}) COMP_CWORD={last}
_brokerctl_completion brokerctl
printf '%s\\n' "${{COMPREPLY[@]}}"
"""


@pytest.fixture(autouse=True)
def path(cli: CommandLine) -> None:
    """Let the shells find `brokerctl`, as installed."""
    cli.env["PATH"] = f"{os.path.dirname(sys.executable)}:{cli.env['PATH']}"


def bash(cli: CommandLine, words: str) -> list[str]:
    script = _BASH.format(words=words, last=len(words.split()) - 1)
    command = [require_program("bash", "apt-get install bash"), "--norc", "-c", script]
    done = subprocess.run(
        command, env=cli.env, cwd=cli.folder, capture_output=True, text=True, check=True
    )
    assert done.stderr == ""
    return done.stdout.split()


def test_bash_completes_commands_and_options(cli: CommandLine) -> None:
    assert bash(cli, "brokerctl sta") == ["status"]
    assert set(bash(cli, "brokerctl secret r")) == {"rm", "rollback"}
    assert "--max-ttl" in bash(cli, "brokerctl secret set --m")
    assert bash(cli, "brokerctl completion f") == ["fish"]


def test_names_come_from_the_running_daemon(cli: CommandLine) -> None:
    rows = [ROW, {**ROW, "name": "groq/dev"}]
    cli.daemon({"secret.list": {"secrets": rows, "next": None},
                "backend.list": {"backends": [{"name": "corp"}], "next": None},
                "lease.list": {"leases": [{"lease": "ab12"}], "next": None}})  # fmt: skip
    assert bash(cli, "brokerctl secret show o") == ["openai/dev"]
    assert bash(cli, "brokerctl revoke a") == ["ab12"]
    assert bash(cli, "brokerctl backend check c") == ["corp"]


def test_completing_starts_no_daemon(cli: CommandLine) -> None:
    assert bash(cli, "brokerctl secret show o") == []
    assert not (cli.home / "run").exists()


def test_fish(cli: CommandLine) -> None:
    fish = require_program("fish", "apt-get install fish")
    script = "brokerctl completion fish | source; complete -C 'brokerctl sta'"
    done = subprocess.run(
        [fish, "--no-config", "-c", script],
        env=cli.env, cwd=cli.folder, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.split()[0] == "status"


def test_zsh(cli: CommandLine) -> None:
    zsh = require_program("zsh", "apt-get install zsh")
    shell = PseudoTerminal([zsh, "-f", "-i"], {**cli.env, "TERM": "dumb"}, cli.folder)
    shell.type("PS1='ready> '; autoload -Uz compinit; compinit -u -D\n")
    shell.type('eval "$(brokerctl completion zsh)"; echo load""ed\n')
    shell.expect("loaded")
    shell.type("brokerctl secret roll\t")
    shell.expect("brokerctl secret rollback")
    shell.type("\x15exit\n")  # Ctrl-U takes the line away
    shell.end()


def test_another_shell_is_refused(cli: CommandLine) -> None:
    done = cli.run("completion", "tcsh")
    assert done.returncode == 2
    assert "'bash', 'zsh', 'fish'" in done.stderr
