"""Which variables hold a real key, or would be read in a reference's place? (Pure.)"""

from __future__ import annotations

from collections.abc import Container, Iterable

from brokerd.providers import PROVIDERS, looks_like_key, provider_of_variable
from brokershim.reference import REFERENCE

_REALISTIC = 20
"""Shorter values in a .env are placeholders such as "changeme"."""


def is_real_key(variable: str, value: str) -> bool:
    """Return whether a variable holds a key: by its shape, or by the variable's own name."""
    if looks_like_key(value):
        return True
    known = provider_of_variable(variable) is not None
    return known and bool(value) and REFERENCE.search(value) is None


def looks_real(variable: str, value: str) -> bool:
    """Return the same with fewer false alarms, for files that often hold placeholders."""
    return is_real_key(variable, value) and (looks_like_key(value) or len(value) >= _REALISTIC)


def is_stale(value: str, granted: Container[str]) -> bool:
    """Return whether a text refers to a secret that is not granted now."""
    return any(match[1] not in granted for match in REFERENCE.finditer(value))


def shadows(variables: Iterable[str]) -> set[str]:
    """Return the variables that would be read instead of the given ones."""
    given = set(variables)
    names: set[str] = set()
    for provider in PROVIDERS.values():
        family = {provider.variable, *provider.aliases}
        if family & given:
            names |= family
    return names - given
