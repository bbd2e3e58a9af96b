"""What do both ways of logging in end in?"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping

from brokerd.identities.base import Standing
from brokerd.identities.oidc import endpoint
from brokerd.identities.oidc.endpoint import Grant, Refusal
from brokershim.errors import LoginRefused

Begin = Callable[[Grant, str | None, threading.Event], Standing]
"""Takes in an answer, the nonce that it must repeat, and whether the login was given up."""


def given_up() -> LoginRefused:
    """Return the error of a login that somebody has cancelled."""
    return LoginRefused("the login was given up")


def too_late(seconds: float) -> LoginRefused:
    """Return the error of a login that nobody finished."""
    return LoginRefused(f"nobody finished the login within {seconds:.0f} s")


def granted(url: str, form: Mapping[str, str]) -> Grant:
    """Return what the token endpoint gives for a code.

    Raises:
        LoginRefused: It gives nothing.
        ServerDown: It cannot be reached.
    """
    answer = endpoint.ask(url, form)
    if isinstance(answer, Refusal):
        raise LoginRefused(f"the provider refuses the login: {answer.said}")
    return answer
