"""What is kept of a person's login at a Vault?"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Kept:
    """A login. Its repr shows no token.

    Attributes:
        token: The server's.
        accessor: Names it; empty for a batch token, which nobody can end.
        shown: The name that the person knows.
        until: When it dies unless it is renewed, in seconds since 1970.
        life: Seconds that it was given for.
        renewable: Whether it can be renewed.
        looks: Whether it may look itself up; of one that may not, nobody can tell whether it lives.
    """

    token: str = field(repr=False)
    accessor: str
    shown: str
    until: float
    life: float
    renewable: bool
    looks: bool
