"""Where does what a person gave a backend stand, such as its private key? In the system's keyring.

Bound to nothing but the backend's name: config.toml, which says to which server it goes, is the
user's own, and so is the keyring.
"""

from __future__ import annotations

from brokerd.keyring import Entry

_HINT = (
    "unlock the keyring, then try again; where there is none, log in with what needs none: "
    "jwt, kubernetes, or a token_file"
)


class Enrolled(Entry):
    """What one backend was given.

    Args:
        name: The backend's configured name.
    """

    def __init__(self, name: str) -> None:
        super().__init__(f"backend/{name}", f"what {name} logs in with", _HINT)
