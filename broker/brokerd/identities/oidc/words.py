"""What may be shown of what a provider says? (Pure.)"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_LONGEST = 200
_CODE = re.compile(r"[a-z_]{1,64}")
# A provider repeats what it was sent, a code or a token. Words have no digits, or are short.
_TOKEN_SHAPED = re.compile(r"(?=\S*\d)\S{10,}|\S{24,}")


def code_of(document: Mapping[str, Any]) -> str:
    """Return the error code of an OAuth error (RFC 6749, section 5.2), empty where it has none."""
    code: object = document.get("error")
    return code if isinstance(code, str) and _CODE.fullmatch(code) else ""


def said(document: Mapping[str, Any]) -> str:
    """Return the code and the description of an OAuth error, without anything like a token."""
    description: object = document.get("error_description")
    code = code_of(document) or "an error without a name"
    if not isinstance(description, str):
        return code
    return f"{code}: {shown(description)}"


def shown(text: str) -> str:
    """Return a text on one line, short, and without anything like a token."""
    line = "".join(each if each.isprintable() else " " for each in text)
    clean = _TOKEN_SHAPED.sub("…", line[: 4 * _LONGEST])
    return clean if len(clean) <= _LONGEST else clean[:_LONGEST] + "…"
