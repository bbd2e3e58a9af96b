"""What did one check find?"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Literal, NamedTuple

from brokershim.errors import BrokerError

State = Literal["ok", "warn", "fail"]


class Check(NamedTuple):
    """One line of `brokerctl doctor`.

    Attributes:
        name: What was looked at.
        state: Whether it is as it should be.
        detail: What was seen.
        hint: What to do, where it is not; empty otherwise.
    """

    name: str
    state: State
    detail: str
    hint: str = ""


def guarded(name: str, look: Callable[[], Iterable[Check]]) -> list[Check]:
    """Return what a look finds; a typed error is a finding too, and ends only that look."""
    try:
        return list(look())
    except BrokerError as problem:
        return [Check(name, "fail", problem.message, problem.hint)]
    except OSError as problem:
        where = problem.filename or "?"
        return [Check(name, "fail", f"{where}: {problem.strerror}", "mend its permissions")]
