"""What may our token do at a path? (Vault, HTTP API, "/sys/capabilities-self".)"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, cast

from brokerd.backends.reply import part
from brokerd.washing import washed

ROOT = "root"
_NOTHING = "deny"


def allowed(client: Any, paths: Iterable[str]) -> Mapping[str, frozenset[str]]:
    """Return what the token of a client may do at each of some paths, in the server's words.

    Raises:
        VaultError: As hvac, of what `Session.call` is to translate.
    """
    asked = list(dict.fromkeys(paths))
    answer = part(client.sys.get_capabilities(asked), "data")
    return {path: frozenset(_words(answer.get(path))) - {_NOTHING} for path in asked}


def lacking(found: frozenset[str], needed: Iterable[str]) -> tuple[str, ...]:
    """Return what is needed and not allowed; root may do everything."""
    return () if ROOT in found else tuple(each for each in needed if each not in found)


def rule(path: str, capabilities: Iterable[str]) -> str:
    """Return the line of a policy that allows something at a path."""
    listed = ", ".join(f'"{each}"' for each in capabilities)
    return f'path "{path}" {{ capabilities = [{listed}] }}'


def _words(found: object) -> list[str]:
    entries = cast("list[object]", found) if isinstance(found, list) else []
    return [washed(each) for each in entries if isinstance(each, str)]
