"""How are keys kept out of the log lines that are written below the swap?

At level DEBUG, httpcore logs the headers of responses, which may repeat a key, and hpack those of
HTTP/2 requests. A filter on their loggers puts the reference back before any handler sees it.
botocore and urllib3 log exceptions, with the frames that hold the request as it goes out: handlers
that keep records, or show variables, would have it. Of those a traceback's text is left.
"""

from __future__ import annotations

import logging
import traceback

from brokershim.scrub import Scrubber

_LOGGERS = (
    *(f"{core}.{part}" for core in ("httpcore", "httpcore2")
      for part in ("connection", "http11", "http2", "proxy", "socks")),
    "hpack.hpack",
    "hpack.table",
    "botocore.httpsession",
    "urllib3.connection",
    "urllib3.connectionpool",
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
    scrubbers = tuple(_in_flight)
    if not scrubbers:  # a record of somebody else's request stays as it is
        return True
    if record.exc_info:
        shown = "".join(traceback.format_exception(*record.exc_info)).rstrip()
        record.exc_text, record.exc_info = _scrubbed(shown, scrubbers), None
    record.msg, record.args = _scrubbed(record.getMessage(), scrubbers), None
    return True


def _scrubbed(text: str, scrubbers: tuple[Scrubber, ...]) -> str:
    for scrubber in scrubbers:
        text = scrubber.text(text)
    return text
