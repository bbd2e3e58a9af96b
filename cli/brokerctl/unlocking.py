"""How is the embedded store opened, when the daemon says that it needs a passphrase?"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from brokerctl.autostart import connect_or_start
from brokerctl.prompts import ask_passphrase, terminal
from brokershim.errors import Locked

_NEW = "new-passphrase"
_NEEDS = ("passphrase", _NEW)
_T = TypeVar("_T")


def unlock(read: Callable[[bool], str]) -> dict[str, Any]:
    """Open the store, or make one, and return the daemon's reply.

    Args:
        read: Gives the passphrase; it is told whether a new one is chosen.

    Raises:
        Locked: It cannot be opened, or not with that passphrase.
        BrokerError: What else the daemon answers.
    """
    try:
        return connect_or_start().call("store.unlock", create=True)
    except Locked as problem:
        needs = problem.details.get("needs")
        if needs not in _NEEDS:
            raise
    passphrase = read(needs == _NEW)
    # A connection of its own: the first one is closed as idle while somebody types.
    return connect_or_start().call("store.unlock", passphrase=passphrase, create=needs == _NEW)


def unlocked(work: Callable[[], _T]) -> _T:
    """Do something; where the store is locked and a person is there, ask and do it once more.

    Raises:
        Locked: Nobody is there to ask, or the passphrase is wrong.
        BrokerError: What else the daemon answers.
    """
    try:
        return work()
    except Locked as problem:
        if problem.details.get("needs") not in _NEEDS:
            raise
        with terminal() as asking:
            if asking is None:
                raise
            asking.say(f"{problem.message}.")
            unlock(lambda new: ask_passphrase(asking, new))
    return work()
