"""Can a key stand in a header of a request? (Pure.)"""

from __future__ import annotations

from brokerd.model import Credential
from brokershim.errors import BackendUnavailable
from brokershim.reference import is_key

_LONGEST = 16 * 1024
"""Bytes, as of a value in the store. Servers take headers of about so much (RFC 9110, section 5.4);
and a reply with a longer one would not fit into a line of the wire, and its lease be nobody's."""


def header_text(name: str, credential: Credential) -> str:
    """Return the key as text that a header can hold.

    With a line end in it, an HTTP library refuses the header, and repeats it in its error.

    Raises:
        BackendUnavailable: It cannot stand there. The message holds nothing of it.
    """
    if len(credential.value) > _LONGEST:
        raise BackendUnavailable(
            f"the key of {name} is over {_LONGEST} bytes", hint="look at what its backend holds"
        )
    value = credential.value.decode("latin-1")
    if not is_key(value):
        raise BackendUnavailable(
            f"the key of {name} has a space, a line end, or a character that no key has",
            hint="look at what its backend holds",
        )
    return value
