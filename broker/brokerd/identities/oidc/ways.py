"""What do the ways of logging in have in common?"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping

from brokerd.identities.base import Standing
from brokerd.identities.oidc import endpoint, words
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


def code_in(query: Mapping[str, str]) -> str:
    """Return the code that a browser brings (RFC 6749, section 4.1.2).

    Raises:
        LoginRefused: It brings none.
    """
    if "error" in query:
        said = {key: query[key] for key in ("error", "error_description") if key in query}
        raise LoginRefused(f"the provider refuses the login: {words.said(said)}")
    if not query.get("code"):
        raise LoginRefused("the provider sends the browser back without a code")
    return query["code"]


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
