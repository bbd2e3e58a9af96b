"""How is a server found by its name and connected to, with a limit on all of it?

No timeout of a socket covers getaddrinfo(3): where no name server answers, it may wait for half a
minute, so that nobody would be left time for the next server.
"""

from __future__ import annotations

import socket
import threading
import time
from queue import Empty, SimpleQueue

_Place = tuple[str, int]


def reach(place: _Place, each: float, total: float) -> socket.socket:
    """Return a connection to the first address of a server that accepts one.

    Args:
        place: Its name and port.
        each: Seconds that one address may take at most; less, where there are many.
        total: Seconds that all of it may take.

    Raises:
        socket.gaierror: Its name leads to no address, or not in time.
        OSError: No address accepts it; `TimeoutError` where the last did not answer in time.
    """
    until = time.monotonic() + total
    failure: OSError = TimeoutError()
    addresses = _resolved(place, total)
    for number, address in enumerate(addresses):
        left = until - time.monotonic()
        if left <= 0:
            break
        try:
            return socket.create_connection(address, min(each, left / (len(addresses) - number)))
        except OSError as error:
            failure = error
    raise failure


def _resolved(place: _Place, seconds: float) -> list[_Place]:
    """Return the addresses of a server, in the order of the system."""
    found: SimpleQueue[list[_Place] | socket.gaierror] = SimpleQueue()
    # A daemon's thread: one that waits for a name server must not hold up the end of ours.
    threading.Thread(target=lambda: found.put(_look_up(place)), daemon=True).start()
    try:
        answer = found.get(timeout=seconds)
    except Empty:
        answer = socket.gaierror(socket.EAI_AGAIN, "no answer in time")
    if isinstance(answer, socket.gaierror):
        raise answer
    return answer


def _look_up(place: _Place) -> list[_Place] | socket.gaierror:
    try:
        listed = socket.getaddrinfo(*place, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        return error
    except UnicodeError:  # a label of no letters, or of too many (RFC 5891, section 4.2)
        return socket.gaierror(socket.EAI_NONAME, "no name")
    return [(str(address[0]), int(address[1])) for *_, address in listed]
