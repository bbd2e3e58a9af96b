"""How are keys kept out of the log lines that are written below the swap?

At level DEBUG, httpcore logs the headers of responses, which may repeat a key, and hpack those of
HTTP/2 requests. A filter on their loggers puts the reference back before any handler sees it.
"""

from __future__ import annotations

import logging

from brokershim.scrub import Scrubber

_LOGGERS = (
    *(f"{core}.{part}" for core in ("httpcore", "httpcore2")
      for part in ("connection", "http11", "http2", "proxy", "socks")),
    "hpack.hpack",
    "hpack.table",
)  # fmt: skip

_in_flight: list[Scrubber] = []  # one may be there twice: its lease is used by two requests


class washed:  # noqa: N801 - reads as what it does: `with washed(…)`
    """Keeps some keys out of the logs for the duration of a request."""

    def __init__(self, scrubber: Scrubber) -> None:
        self._scrubber = scrubber

    def __enter__(self) -> None:
        _in_flight.append(self._scrubber)

    def __exit__(self, *_: object) -> None:
        _in_flight.remove(self._scrubber)


def install() -> None:
    """Put the filter on the loggers; once is enough, and twice is no different."""
    for name in _LOGGERS:
        logging.getLogger(name).addFilter(_wash)


def _wash(record: logging.LogRecord) -> bool:
    message = record.getMessage()
    for scrubber in tuple(_in_flight):
        message = scrubber.text(message)
    record.msg, record.args = message, None
    return True
