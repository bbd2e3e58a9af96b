"""How does an exception leave a transport without the key?

The frames of its traceback, and of those of its causes, hold the headers that were being sent;
aiohttp's exceptions carry them as an attribute; and h11 quotes what it could not parse. Logs,
crash reporters and debuggers show all of that.
"""

from __future__ import annotations

import sys
from typing import Any

from brokershim.scrub import Scrubber

PLAIN = (str, bytes, int, float, type(None))
"""What holds nothing but itself."""


def cleaned(module: Any, error: Any, scrubber: Scrubber) -> Any:
    """Return the exception to raise in the place of one of httpx.

    It is the one that `taken_apart` returns. Where it carries objects that might hold the key, it
    is a ``TransportError`` with its text.

    Args:
        module: httpx or httpx2.
        error: What the transport raised. Ctrl-C and cancellation count: they have frames too.
        scrubber: Knows the keys that were sent.
    """
    taken_apart(error, scrubber)
    if isinstance(error, module.RequestError) or not isinstance(error, Exception):
        return error  # the client puts the app's own request into the former
    if all(isinstance(part, PLAIN) for part in (*error.args, *vars(error).values())):
        return error
    text = scrubber.text(f"{type(error).__name__}: {error}")
    return module.TransportError(text)


def taken_apart(error: Any, scrubber: Scrubber) -> Any:
    """Return an exception without its traceback and its causes, and with its texts scrubbed.

    To be called after the ``except`` block, not in it.
    """
    _take_apart(error, scrubber, sys.exc_info()[1])
    return error


def _take_apart(error: BaseException | None, scrubber: Scrubber, apps: object) -> None:
    """Strip an exception and all behind it, up to one that the app was handling already."""
    if error is None or error is apps:
        return
    behind = (error.__cause__, error.__context__, *getattr(error, "exceptions", ()))
    error.__traceback__ = error.__cause__ = error.__context__ = None
    error.args = tuple(_scrubbed(part, scrubber) for part in error.args)
    attributes: dict[str, Any] = vars(error)
    for name, value in attributes.items():
        setattr(error, name, _scrubbed(value, scrubber))
    for other in behind:  # members of a group too: trio cancels through groups
        _take_apart(other, scrubber, apps)


def _scrubbed(part: Any, scrubber: Scrubber) -> Any:
    if isinstance(part, str):
        return scrubber.text(part)
    return scrubber.data(part) if isinstance(part, bytes) else part
