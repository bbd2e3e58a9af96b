"""What is kept of a person's login at IAM Identity Center?"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Kept:
    """A login. Its repr shows no token.

    Attributes:
        client_id: Who we are there, since this login began.
        client_secret: Proves that.
        client_until: When both end, in seconds since 1970, and with them what renews the login.
        access_token: Gives credentials of a role.
        until: When that ends, in seconds since 1970.
        life: How long it was given for, in seconds.
        refresh_token: Gives another; empty where the login ends with the access token.
        shown: The name that the person knows.
    """

    client_id: str
    client_secret: str = field(repr=False)
    client_until: float
    access_token: str = field(repr=False)
    until: float
    life: float
    refresh_token: str = field(repr=False)
    shown: str = ""
