"""``python -I -m brokerd``: run the daemon in the foreground."""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import signal
import sys
from collections.abc import Callable
from types import TracebackType
from typing import NoReturn

from brokerd.daemon import STOPS, Daemon
from brokerd.harden import harden
from brokerd.listener import Listener
from brokershim.errors import BrokerError
from brokershim.paths import runtime_dir

_log = logging.getLogger("brokerd")


def main() -> int:
    """Harden, then listen, then serve; return the exit status."""
    arguments = _parser().parse_args()
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr
    )
    tell = _teller(arguments.ready_fd)
    try:
        asyncio.run(_serve(harden(), lambda: tell("ready")))
    except BrokerError as error:
        tell("error " + json.dumps(error.to_wire()))
        _log.error("%s", error.message)
        return error.exit_status
    except OSError as error:
        failure = BrokerError(f"cannot start: {error.strerror} ({error.filename})")
        tell("error " + json.dumps(failure.to_wire()))
        _log.error("%s", failure.message)
        return failure.exit_status
    return 0


async def _serve(protection: list[str], ready: Callable[[], None]) -> None:
    listener = Listener(os.path.join(runtime_dir(), "broker.sock"))
    daemon = Daemon(listener, protection)
    _log.info("serving %s", listener.path)
    try:
        await daemon.run(ready)
    finally:
        _heed_no_more()
    _log.info("stopped")


def _heed_no_more() -> None:
    """Let nobody who says it twice break into the end.

    The loop closes the pipe that a signal is written to before it lets go of the signals, and from
    then on one would end the process as if it had failed.
    """
    for number in STOPS:
        asyncio.get_running_loop().remove_signal_handler(number)
        signal.signal(number, signal.SIG_IGN)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="brokerd", description=__doc__)
    parser.add_argument(
        "--ready-fd",
        type=int,
        help="descriptor that is told `ready`, or `error` with a JSON-RPC error object",
    )
    return parser


def _teller(fd: int | None) -> Callable[[str], None]:
    def tell(line: str) -> None:
        nonlocal fd
        if fd is not None:
            open_fd, fd = fd, None
            with os.fdopen(open_fd, "w") as file:
                file.write(line + "\n")

    return tell


def _unexpected(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    """Print an error that nobody expected, as Python does, and end."""
    sys.__excepthook__(kind, error, trace)
    _end(1)


def _end(status: int) -> NoReturn:
    """End the process, and wait for no thread of it."""
    logging.shutdown()
    # Not sys.exit: a thread that hangs in a keyring or a backend would hold the process back.
    os._exit(status)


if __name__ == "__main__":
    sys.excepthook = _unexpected
    _end(main())
