"""`brokerctl run`: start a program with references in the place of keys."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from typing import Any, NoReturn

import click

import brokershim
from brokerctl import launch, output, program, project
from brokerctl.dotenv import real_keys
from brokerctl.opening import Opened, open_session
from brokerctl.options import BINDING, bindings
from brokershim.errors import UsageError
from brokershim.paths import socket_path


@click.command(context_settings={"allow_interspersed_args": False})
@click.option(
    "--env", "pairs", type=BINDING, multiple=True, metavar="VARIABLE=SECRET",
    help="Refer to a secret, besides or instead of broker.toml. Repeatable.",
)  # fmt: skip
@click.option("--keep", multiple=True, metavar="VARIABLE", help="Pass this one on. Repeatable.")
@click.option("--no-shim", is_flag=True, help="The app calls `brokershim.install()` itself.")
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
def run(
    pairs: tuple[tuple[str, str], ...],
    keep: tuple[str, ...],
    no_shim: bool,
    command: tuple[str, ...],
) -> None:
    """Run COMMAND with references in the place of keys.

    What it may use stands in broker.toml, here or in a folder above, and in --env. COMMAND takes
    the place of this process: same pid, same terminal, its own exit status.

    Ends with 127 where COMMAND is not found and 126 where it cannot be executed.
    """
    target = program.find(command, os.environ)
    if target.blocking and not no_shim:
        raise UsageError(
            f"the option {target.blocking} keeps the shim out of Python",
            hint="leave it out, or use --no-shim if the app calls brokershim.install() itself",
        )
    extra = bindings(pairs)
    path = project.find() if extra else project.require()
    opened = open_session(_request(target, path, extra))
    environ = _environment(opened, keep, no_shim=no_shim)
    _warn_of_dotenv(path)
    _execute(target.path, command, environ)


def _request(target: program.Program, path: str | None, extra: dict[str, str]) -> dict[str, Any]:
    request: dict[str, Any] = {"program": target.path, "env": extra}
    if target.script is not None:
        request["script"] = target.script
    if path is not None:
        request["project"] = path
    return request


def _environment(opened: Opened, keep: Sequence[str], *, no_shim: bool) -> dict[str, str]:
    boot = os.path.join(os.path.dirname(brokershim.__file__), "boot")
    session = launch.Session(
        opened.label, os.path.abspath(socket_path()), None if no_shim else boot
    )
    environ, notices = launch.child_environment(os.environ, opened.references, keep, session)
    for each in notices:
        output.note(each)
    return environ


def _warn_of_dotenv(path: str | None) -> None:
    """Warn of keys that the app may load by itself, and that the broker then knows nothing of."""
    folders = {os.getcwd(), os.path.dirname(path) if path else os.getcwd()}
    for folder in sorted(folders):
        names = real_keys(folder)
        if names:
            where = os.path.join(folder, ".env")
            output.warning(
                f"{where} holds what looks like keys: {', '.join(names)}; see `brokerctl doctor`"
            )


def _execute(path: str, command: Sequence[str], environ: dict[str, str]) -> NoReturn:
    """Become the program.

    Python ignores these two signals from its start, and an ignored signal stays ignored across
    execve(2): `app | head` would then not end. What our own parent had set for them is lost;
    the default is what a shell gives. All other signals are as they came to us.

    Raises:
        NotExecutable: The kernel would not execute it.
    """
    for number in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)
    try:
        os.execve(path, list(command), environ)  # noqa: S606
    except OSError as error:
        raise program.NotExecutable(f"{command[0]}: {error.strerror}") from None
