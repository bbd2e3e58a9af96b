"""What stands in the environment in a key's place? (Pure.)

A reference such as ``brokerref:openai/dev`` names a secret. It is not one: it may be logged,
committed and sent. The shim puts the key in its place at the last moment.
"""

from __future__ import annotations

import re

from brokershim.errors import UsageError

PREFIX = "brokerref:"
_NAME = r"[a-z0-9][a-z0-9._-]{0,63}(?:/[a-z0-9][a-z0-9._-]{0,63}){0,3}"
SECRET_NAME = re.compile(_NAME)
"""A secret's name: one to four parts, in lower case, with a slash between them."""
REFERENCE = re.compile(re.escape(PREFIX) + "(" + _NAME + ")")
"""A reference anywhere in a text; group 1 is the secret's name."""

_KEY = re.compile(r"[!-~]+")


def is_key(text: str) -> bool:
    """Return whether a text can be a key: what stands in a header (RFC 9110, section 5.5) as it is.

    With a space or a line end inside, it could bring headers of its own, or show up in an error
    in a spelling that nothing recognises.
    """
    return _KEY.fullmatch(text) is not None


def reference(name: str) -> str:
    """Return the reference to a secret."""
    return PREFIX + name


def check_name(name: str) -> str:
    """Return the name unchanged where it is a well-formed secret name.

    Raises:
        UsageError: It is not. The message does not repeat it: a key pasted in the name's
            place by mistake must not reach a log.
    """
    if not SECRET_NAME.fullmatch(name):
        raise UsageError(
            "not a secret's name",
            hint="a name looks like openai/dev: lower case, digits, '.', '_', '-', parts by '/'",
        )
    return name
