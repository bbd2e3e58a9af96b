"""How is a token helper asked for its token? (Vault, "Token helpers": ``helper get``.)

It is somebody else's program. It gets nothing of the daemon's environment, and cannot make the
daemon wait, or hold, without end.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import selectors
import signal
import subprocess
import time

from brokerd.tampering import open_to_others
from brokershim.errors import BackendTimeout, IdentityUnavailable, InsecurePath

_SECONDS = 20.0
"""Less than `brokerd.blocking` waits, so that whoever asks hears why."""
_MAX_BYTES = 16 * 1024
_PATH = "/usr/local/bin:/usr/bin:/bin"


def get(program: str, seconds: float = _SECONDS) -> str:
    """Return the token that a helper has.

    Args:
        program: Its absolute path.
        seconds: How long it may take.

    Raises:
        InsecurePath: Others could change the program, or put another one in its place.
        BackendTimeout: It took longer.
        IdentityUnavailable: It fails, or has none.
    """
    _check(program)
    output, status = _run(program, seconds)
    if status != 0:
        raise IdentityUnavailable(f"{program} get ends with status {status}", hint=_hint(program))
    token = output.decode("ascii", "replace").strip()
    if not token or not token.isascii():
        raise IdentityUnavailable(f"{program} has no token", hint=_hint(program))
    return token


def _run(program: str, seconds: float) -> tuple[bytes, int]:
    until = time.monotonic() + seconds
    with _start(program) as child:
        try:
            output = _read(program, child, until)
            return output, child.wait(max(until - time.monotonic(), 0))
        except (TimeoutError, subprocess.TimeoutExpired):
            late = BackendTimeout(
                f"{program} did not answer in {seconds:.0f} s",
                hint=f"see why `{program} get` does not end",
            )
        finally:
            if child.returncode is None:
                _end(child)
    raise late


def _start(program: str) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(
            [program, "get"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # a token may stand in it
            cwd="/",
            env=_environment(),
            start_new_session=True,
        )
    except OSError as error:
        raise _unusable(program, error) from None


def _unusable(program: str, error: OSError) -> IdentityUnavailable:
    return IdentityUnavailable(
        f"cannot run {program}: {error.strerror}",
        hint="see `token_helper` in config.toml, and that it is a program which you may run",
    )


def _read(program: str, child: subprocess.Popen[bytes], until: float) -> bytes:
    """Return all that a child says, which may not be much; raises TimeoutError."""
    output, stdout = bytearray(), child.stdout
    with selectors.DefaultSelector() as ready:
        ready.register(stdout or 0, selectors.EVENT_READ)
        while len(output) <= _MAX_BYTES:
            if not ready.select(max(until - time.monotonic(), 0)):
                raise TimeoutError
            part = os.read(stdout.fileno() if stdout else 0, _MAX_BYTES)
            if not part:
                return bytes(output)
            output += part
    raise IdentityUnavailable(f"{program} says more than a token", hint=_hint(program))


def _end(child: subprocess.Popen[bytes]) -> None:
    """End a child, and what it started; it has not been waited for, so its number is its own."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)


def _environment() -> dict[str, str]:
    """Return who the user is, as the system knows it, and nothing that a shell may have set."""
    user = pwd.getpwuid(os.geteuid())
    return {"HOME": user.pw_dir, "LOGNAME": user.pw_name, "USER": user.pw_name, "PATH": _PATH}


def _check(program: str) -> None:
    try:
        loose = open_to_others(program)
    except OSError as error:
        raise _unusable(program, error) from None
    if loose is not None:
        raise InsecurePath(
            f"{program} could be changed by others",
            hint=f"make {loose} yours or root's, and `chmod go-w` it",
        )


def _hint(program: str) -> str:
    return f"see what `{program} get` prints"
