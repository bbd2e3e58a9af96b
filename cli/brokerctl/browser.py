"""How does an address get into the person's own browser, and nowhere else?

Python's `webbrowser` knows how: BROWSER where it is set, else what the desktop has. It runs in a
process of its own, so that what it starts

- is no child of ours: what `brokerctl run` becomes is the root of a session, and a browser below
  it could lease what the session may;
- has no terminal: lynx or w3m in the place of a browser could show a login page that is none, and
  would read the password in the terminal;
- is not found in the folder that we happen to be in, as "." or an empty entry in PATH, or
  BROWSER=./x, would have it: that folder may be a project that was only just cloned.

Whoever sets BROWSER or PATH to a program of their own by its full path can as well replace
`brokerctl`: that is no boundary.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from urllib.parse import urlsplit

from brokershim.hosts import is_loopback

_OPEN = "import os, sys, webbrowser\nif os.fork() == 0:\n    webbrowser.open(sys.argv[1])"
_SECONDS = 10.0
_SHOWN_BY = ("BROWSER", "DISPLAY", "WAYLAND_DISPLAY")
_OF_MACOS = "/usr/bin/osascript"


def is_here(environ: Mapping[str, str]) -> bool:
    """Return whether the person sees a browser that we open, and it reaches this machine."""
    if environ.get("SSH_CONNECTION"):  # ssh(1): the person sits at another machine
        return False
    return any(environ.get(name) for name in _SHOWN_BY) or shutil.which(_OF_MACOS) is not None


def is_web(address: str) -> bool:
    """Return whether an address is of a page that a login may be on.

    Not file:, which would open what lies here, nor what starts some other program; and plain http
    only to this machine, for on the way others could read and change it.
    """
    try:
        parts = urlsplit(address)
    except ValueError:
        return False
    if not (address.isascii() and address.isprintable() and parts.hostname) or " " in address:
        return False
    if parts.username is not None:  # https://good.example@evil.example
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and is_loopback(parts.hostname))


def show(address: str) -> None:
    """Open an address; whether it was shown cannot be told.

    Args:
        address: One that `is_web` is true of.
    """
    nothing = subprocess.DEVNULL
    try:
        subprocess.run(
            [sys.executable, "-I", "-c", _OPEN, address],
            stdin=nothing, stdout=nothing, stderr=nothing, cwd="/", env=_environment(os.environ),
            start_new_session=True, timeout=_SECONDS, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return  # the address was printed, too


def _environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Return what the browser may see; without TERM, `webbrowser` takes none of the terminal."""
    folders = environ.get("PATH", "").split(os.pathsep)
    path = os.pathsep.join(each for each in folders if os.path.isabs(each))
    return {name: value for name, value in environ.items() if name != "TERM"} | {"PATH": path}
