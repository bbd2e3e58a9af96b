"""Where in this process can a text be found? Walks what the garbage collector knows."""

from __future__ import annotations

import gc
import sys
import threading
from collections.abc import Iterable, Iterator
from types import FrameType, ModuleType
from typing import Any

_TEXTS = (str, bytes, bytearray)


def holders_of(needle: str, ignore: Iterable[object] = ()) -> list[str]:
    """Return a line for each object that holds a text with the needle.

    Looks into every container, frame, generator and cache of the process; not into memory that
    is free already.

    Args:
        needle: The text; looked for in str, bytes and bytearray.
        ignore: Objects that may hold it, such as the test's own.
    """
    ignored = {id(thing) for thing in ignore}
    found: list[str] = []
    everything = gc.get_objects()
    ignored |= {id(found), id(everything), id(ignored)}
    for thing in everything:
        if id(thing) not in ignored and not _is_own_frame(thing):
            found.extend(_described(thing, text) for text in _texts(thing, needle))
    for frame in _frames_of_other_threads():
        found.extend(_described(frame, text) for text in _texts(dict(frame.f_locals), needle))
    return found


def _frames_of_other_threads() -> Iterator[FrameType]:
    """Yield the frames that run elsewhere: the collector does not look into those."""
    for thread, newest in sys._current_frames().items():
        frame: FrameType | None = newest if thread != threading.get_ident() else None
        while frame is not None:
            yield frame
            frame = frame.f_back


def _is_own_frame(thing: object) -> bool:
    frame: FrameType | None = sys._getframe()
    while frame is not None:
        if thing is frame or thing is frame.f_locals:
            return True
        frame = frame.f_back
    return False


def _texts(thing: Any, needle: str) -> Iterator[Any]:
    for part in gc.get_referents(thing):
        if isinstance(part, _TEXTS):
            if _contains(part, needle):
                yield part
        elif isinstance(part, tuple | dict | frozenset) and not gc.is_tracked(part):
            yield from _texts(part, needle)


def _contains(text: Any, needle: str) -> bool:
    return needle in text if isinstance(text, str) else needle.encode() in text


def _described(thing: Any, text: Any) -> str:
    name = thing.__name__ if isinstance(thing, ModuleType) else ""
    return f"{type(thing).__module__}.{type(thing).__qualname__} {name} holds {text!r:.120}"
