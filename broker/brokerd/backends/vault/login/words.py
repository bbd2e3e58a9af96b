"""Is what a person gave one word, as every token is? (Pure.)"""

from __future__ import annotations

from brokershim.errors import UsageError


def one_word(value: str, what: str) -> str:
    """Return what a person gave, without the space around it.

    Args:
        value: What they gave.
        what: What it should be, for the message.

    Raises:
        UsageError: It is empty, or more than one word.
    """
    found = value.strip()
    if not found or not found.isascii() or not found.isprintable() or " " in found:
        raise UsageError(f"that is no {what}", hint="give it whole, and nothing else")
    return found
