"""What events does the log hold?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from brokerd.audit.line import unseal
from brokerd.audit.segments import lines_of, numbers, path_of
from brokerd.linefile import unavailable
from brokershim.errors import AuditUnavailable, InsecurePath
from brokershim.ownership import open_private


def events(folder: str) -> Iterator[dict[str, Any]]:
    """Yield all events, newest last, while a daemon may be writing.

    Whether the log is complete is for `brokerd.audit.verify` to say.

    Raises:
        AuditUnavailable: A file cannot be read, or holds a line that is no event.
    """
    try:
        for number in numbers(folder):
            yield from _events_of(path_of(folder, number))
    except (OSError, InsecurePath) as error:
        raise unavailable(f"the audit log in {folder}", error) from error


def _events_of(path: str) -> Iterator[dict[str, Any]]:
    with open(open_private(path), "rb") as file:
        for number, line in enumerate(lines_of(file), 1):
            if line.endswith(b"\n"):  # the last one may be half written at this moment
                yield _event(line[:-1], f"{path} line {number}")


def _event(line: bytes, where: str) -> dict[str, Any]:
    try:
        return unseal(line)
    except ValueError as error:
        hint = "see `brokerctl audit verify`"
        raise AuditUnavailable(f"{where} is no event: {error}", hint=hint) from None
