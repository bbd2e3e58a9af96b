"""What may a secret's value and description be? (Pure.)"""

from __future__ import annotations

import re
from collections.abc import Sequence

from brokerd.providers import PROVIDERS
from brokerd.store.format import Record
from brokerd.store.hosts import normalise
from brokershim.errors import UsageError
from brokershim.reference import PREFIX, is_key

MAX_VALUE = 16_384
"""The longest value, in bytes."""
DEFAULT_TTL = 900.0
"""The longest lease of a secret, in seconds, where its owner names none."""
MAX_TTL = 86_400.0
_PROVIDER = re.compile(r"(?:[a-z0-9][a-z0-9._-]{0,63})?")


def check_value(value: bytes) -> bytes:
    """Return a value unchanged where it can be a key in a request's header.

    A line end inside would let the value add headers of its own.

    Raises:
        UsageError: It cannot. The message holds nothing of it.
    """
    if not 1 <= len(value) <= MAX_VALUE:
        raise UsageError(f"the value has {len(value)} bytes, not 1 to {MAX_VALUE}")
    if not is_key(value.decode("latin-1")):
        raise UsageError(
            "the value has a space, a line end, or a character that no key has",
            hint="was it copied whole, and nothing besides?",
        )
    if value.startswith(PREFIX.encode()):
        raise UsageError(
            "the value is itself a reference", hint="give the key that the reference stands for"
        )
    return value


def described(
    name: str,
    known: Record | None,
    provider: str | None,
    hosts: Sequence[str] | None,
    max_ttl: float | None,
) -> Record:
    """Return a secret's description, with the versions that it has, if any.

    Args:
        name: The secret's name; its first part presets the provider of a new one.
        known: What is stored of it now.
        provider: As in `brokerd.providers`, or another; None keeps it.
        hosts: Where the key may go; None keeps them, or takes a new secret's provider's.
        max_ttl: The longest lease in seconds; None keeps it.

    Raises:
        UsageError: One of them is not acceptable, or a new secret has no host.
    """
    if known is None:
        known = _preset(name, provider)
    return Record(
        provider=known.provider if provider is None else _provider(provider),
        hosts=normalise(known.hosts if hosts is None else hosts),
        max_ttl=known.max_ttl if max_ttl is None else _max_ttl(max_ttl),
        versions=known.versions,
    )


def _preset(name: str, provider: str | None) -> Record:
    named = name.partition("/")[0] if provider is None else provider
    known = PROVIDERS.get(named)
    return Record(named if known else "", known.hosts if known else (), DEFAULT_TTL, ())


def _provider(provider: str) -> str:
    if not _PROVIDER.fullmatch(provider):
        raise UsageError("not a provider's name", hint="a name looks like openai or together_ai")
    return provider


def _max_ttl(seconds: float) -> float:
    if not 1 <= seconds <= MAX_TTL:  # true of NaN, too
        raise UsageError(f"the longest lease must be 1 s to {MAX_TTL:.0f} s")
    return float(seconds)
