"""What does `brokerctl` do with its arguments, and how does it end?

Sub-commands are imported when they are called, so that `brokerctl run` pays only for itself.
Every error becomes two lines and an exit status here, and nowhere else.
"""

from __future__ import annotations

import contextlib
import importlib
import os
from collections.abc import Sequence

import click

from brokerctl import output
from brokershim import __version__
from brokershim.errors import BrokerError, Locked, SecretNotFound, UsageError

_COMMANDS = {
    "secret": "brokerctl.commands.secret:secret",
    "init": "brokerctl.commands.init:init",
    "allow": "brokerctl.commands.allow:allow",
    "run": "brokerctl.commands.run:run",
    "credentials": "brokerctl.commands.credentials:credentials",
    "login": "brokerctl.commands.identity:login",
    "logout": "brokerctl.commands.identity:logout",
    "whoami": "brokerctl.commands.identity:whoami",
    "backend": "brokerctl.commands.backend:backend",
    "rotate": "brokerctl.commands.rotate:rotate",
    "status": "brokerctl.commands.status:status",
    "leases": "brokerctl.commands.leases:leases",
    "revoke": "brokerctl.commands.leases:revoke",
    "audit": "brokerctl.commands.audit:audit",
    "unlock": "brokerctl.commands.store:unlock",
    "lock": "brokerctl.commands.store:lock",
    "daemon": "brokerctl.commands.daemon:daemon",
    "doctor": "brokerctl.commands.doctor:doctor",
    "completion": "brokerctl.commands.completion:completion",
}
_STDOUT = 1
_INTERRUPTED = 130
"""128 + SIGINT, as a shell reports it."""


class _LazyGroup(click.Group):
    """Imports a sub-command when it is called, completed or listed."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in _COMMANDS:
            return None
        module, _, name = _COMMANDS[cmd_name].partition(":")
        command: click.Command = getattr(importlib.import_module(module), name)
        return command


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message="brokerctl %(version)s")
def cli() -> None:
    """Lease LLM keys to local programs, so that no file and no environment holds one.

    Exit status: 0 done, 1 something broke or a check failed, 2 usage, 3 denied, 4 not found,
    5 no daemon, 6 backend or audit unavailable, 7 bad request, 8 locked, 130 interrupted.
    `brokerctl run` otherwise ends as its program does.
    """


def main(args: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status."""
    try:
        status = cli.main(args, prog_name="brokerctl", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as problem:
        problem.show()
        return UsageError.exit_status
    except click.ClickException as problem:
        return _fail(_usage_error(problem))
    except BrokerError as problem:
        return _fail(problem)
    except click.Abort:
        return _INTERRUPTED
    except OSError as problem:
        return _fail(_system_error(problem))
    return status if isinstance(status, int) else 0


def _fail(problem: BrokerError) -> int:
    output.error(problem)
    if isinstance(problem, (SecretNotFound, Locked)):
        _tell_if_it_may_be_new()
    return problem.exit_status


def _tell_if_it_may_be_new() -> None:
    """Say so where what was not found may stand in a config.toml that the daemon has not read."""
    from brokerctl import stale
    from brokerctl.autostart import running

    with contextlib.suppress(BrokerError):  # what is told is the error that was met first
        if client := running():
            stale.warn(client)


def _usage_error(problem: click.ClickException) -> UsageError:
    """Return click's error as ours, without a key that was typed in the wrong place."""
    from brokerd.providers import looks_like_key

    message = problem.format_message().rstrip(".")
    if looks_like_key(message):
        message = "an argument was not understood; it is not repeated, since it looks like a key"
    context = problem.ctx if isinstance(problem, click.UsageError) else None
    path = context.command_path if context else "brokerctl"
    return UsageError(message, hint=f"see `{path} --help`")


def _system_error(problem: OSError) -> BrokerError:
    # What could not be written stays in Python's buffer, and would fail again at the end.
    with open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), _STDOUT)
    what = problem.strerror or type(problem).__name__
    where = f"{problem.filename}: " if problem.filename else ""
    return BrokerError(f"{where}{what}", hint="see `brokerctl doctor`")
