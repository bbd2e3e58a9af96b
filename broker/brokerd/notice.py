"""How is a person told something on their desktop, as far as there is one?

With the program that the desktop has for it: notify-send(1) of freedesktop.org, or osascript(1) of
macOS. Nothing depends on it: `brokerctl status` says the same.
"""

from __future__ import annotations

import html
import logging
import os
import shutil
import subprocess

_FOLDERS = "/usr/bin:/bin:/usr/local/bin"
"""Not PATH: whoever could set it for the daemon would have it run a program of theirs."""
_SECONDS = 5.0
_VARIABLES = (
    "DBUS_SESSION_BUS_ADDRESS", "DISPLAY", "HOME", "LANG", "WAYLAND_DISPLAY", "XDG_RUNTIME_DIR",
)  # fmt: skip
_SCRIPT = (
    "on run argv",
    "display notification (item 2 of argv) with title (item 1 of argv)",
    "end run",
)
_log = logging.getLogger(__name__)


def show(title: str, text: str) -> None:
    """Show a notification; blocks for as long as the desktop takes, 5 seconds at most.

    Args:
        title: One short line.
        text: One sentence; markup in it is shown and not followed.
    """
    command = _command(title, text)
    if command is None:  # a server, a container: there is no desktop
        return
    environ = {name: os.environ[name] for name in _VARIABLES if name in os.environ}
    nothing = subprocess.DEVNULL
    try:
        subprocess.run(
            command, stdin=nothing, stdout=nothing, stderr=nothing, env=environ, cwd="/",
            timeout=_SECONDS, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        _log.warning("a desktop notification could not be shown: %s", type(error).__name__)


def _command(title: str, text: str) -> list[str] | None:
    """Return what to execute; the words are arguments, and never part of a program's text."""
    if found := shutil.which("notify-send", path=_FOLDERS):
        # The body may hold markup (Desktop Notifications Specification 1.2), so it is escaped.
        return [found, "--app-name=brokerctl", "--", title, html.escape(text, quote=False)]
    if found := shutil.which("osascript", path=_FOLDERS):
        lines = [word for line in _SCRIPT for word in ("-e", line)]
        return [found, *lines, "--", title, text]
    return None
