"""How is a library that may hang, or leave things behind, asked for a token? In a process apart.

`id` waits without end for the tool of a CI; gRPC leaves threads and descriptors behind. A child
can be ended, with all that it started, and takes what it leaves behind with it. Neither sees the
daemon's memory.

    python -I -m brokerd.identities.apart KIND REQUEST
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

from brokerd.harden import harden
from brokerd.identities.jwt import MAX_BYTES
from brokershim.errors import BackendTimeout, BrokerError, IdentityUnavailable, from_wire

_KINDS = {"ci": "brokerd.identities.ci", "spiffe": "brokerd.identities.spiffe"}
"""Each module has ``ask(**request) -> str``, which returns a token."""
DEADLINE_SECONDS = 25.0
"""Less than `brokerd.blocking` waits, so that whoever asks hears why."""


def ask(
    kind: str, request: Mapping[str, str], source: str, seconds: float = DEADLINE_SECONDS
) -> str:
    """Return the token that a library gives.

    Args:
        kind: Which library.
        request: What to ask it for; nothing secret, since others see a command line.
        source: Who is asked in the end, for messages.
        seconds: How long it may take.

    Raises:
        BackendTimeout: It took longer.
        BrokerError: What the library says, translated.
    """
    answer = _answer([kind, json.dumps(request)], source, seconds)
    if "error" in answer:
        raise from_wire(answer["error"])
    return str(answer["token"])


def _answer(arguments: list[str], source: str, seconds: float) -> dict[str, Any]:
    try:
        child = subprocess.Popen(
            [sys.executable, "-I", "-m", __name__, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # a library's log may hold tokens
            cwd="/",
            start_new_session=True,
        )
    except OSError as error:
        raise IdentityUnavailable(f"cannot start a process: {error.strerror}") from None
    with child:
        try:
            output, _ = child.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            _end(child)
            raise BackendTimeout(f"{source} did not answer in {seconds:.0f} s") from None
    try:
        answer: dict[str, Any] = json.loads(output)
    except ValueError:
        raise IdentityUnavailable(f"{source} could not be asked: the process ended") from None
    return answer


def _end(child: subprocess.Popen[bytes]) -> None:
    """End a child, and what it started; it has not been waited for, so its number is its own."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)


def _child(kind: str, request: str) -> None:
    harden()
    answer: dict[str, Any]
    try:
        token = importlib.import_module(_KINDS[kind]).ask(**json.loads(request))
        # One more than is a token: the daemon is to say so, and not to hold all of it.
        answer = {"token": token[: MAX_BYTES + 1]}
    except BrokerError as error:
        answer = {"error": error.to_wire()}
    sys.stdout.write(json.dumps(answer))
    sys.stdout.flush()


if __name__ == "__main__":
    _child(*sys.argv[1:])
    # Not the end of main: a library's threads would be waited for.
    os._exit(0)
