"""What if an answer is well formed, and not what botocore can read?

Its parsers then fail somewhere inside, as each part of the answer has it.
"""

from __future__ import annotations

import importlib
from typing import Any

from brokerd.backends.reply import part

_parsers: Any = importlib.import_module("botocore.parsers")  # it carries no types

# A date that no calendar has, and too many levels, are a RuntimeError.
_FAILURES = (KeyError, ValueError, TypeError, AttributeError, RuntimeError, OverflowError)


class Parsers:
    """Stands in for botocore's factory of parsers."""

    def create_parser(self, protocol: str) -> Parser:
        """Return a parser for a protocol, such as ``json``."""
        return Parser(_parsers.ResponseParserFactory().create_parser(protocol))


class Parser:
    """A parser of botocore that fails in one way."""

    def __init__(self, parser: Any) -> None:
        self._parser = parser

    def parse(self, response: Any, shape: Any) -> Any:
        """Return what an answer says; raises ``ResponseParserError``."""
        try:
            return _checked(self._parser.parse(response, shape))
        except _FAILURES as error:
            failure: Exception = _parsers.ResponseParserError(type(error).__name__)
        raise failure


def _checked(answer: Any) -> Any:
    """Return an answer whose error, if it is one, has a name: botocore looks it up unseen."""
    if not isinstance(part(answer, "Error").get("Code", ""), str):
        raise TypeError
    return answer
