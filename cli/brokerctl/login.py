"""How does a person log in, from a terminal?"""

from __future__ import annotations

import contextlib
import os
from typing import Any, NamedTuple

from brokerctl import browser, output
from brokerctl.autostart import connect_or_start
from brokerctl.prompts import Terminal, terminal
from brokerctl.replies import field, number
from brokershim.client import Client
from brokershim.errors import (
    BrokerError,
    IdentityUnavailable,
    LoginRefused,
    LoginRequired,
    UsageError,
)

_EACH_SECONDS = 10.0
"""How long one question waits: Ctrl-C is heard at once, a daemon that is gone as soon."""
_IF_IT_FAILS = (
    "If the page shows an error, press Ctrl-C, and look at client_id, in config.toml or at your "
    "Vault, and at the redirect URIs that the provider has for it."
)


class Way(NamedTuple):
    """How a person wants to log in.

    Attributes:
        device: On any device, with a code, and in no other way.
        opens: Whether a browser may be opened.
    """

    device: bool = False
    opens: bool = True


def required(name: str) -> LoginRequired:
    """Return the error that says what to type where nobody can log in now."""
    return LoginRequired(
        f"{name} needs a person to log in", hint=f"type `brokerctl login {name}` in a terminal"
    )


def log_in(asking: Terminal, name: str, way: Way) -> dict[str, Any]:
    """Let the person at the terminal log in; return how the identity stands then.

    Args:
        asking: Where the person is told where to go.
        name: The identity.
        way: How.

    Raises:
        LoginRefused: It was refused, given up, took too long, or its answer proves nothing.
        BrokerError: What else the daemon answers.
    """
    client = connect_or_start()
    begun = _begin(client, asking, name, way)
    login = field(begun, "login", str)
    try:
        if begun.get("asks") is None:
            _lead(asking, name, begun, way)
        else:
            _ask(client, asking, login, field(begun, "asks", str))
        return _wait(client, login)
    except KeyboardInterrupt:
        # Closing the connection would do; this waits until the next login may begin.
        with contextlib.suppress(BrokerError):
            client.call("login.cancel", login=login)
        raise


def log_in_if_wanted(name: str) -> None:
    """Ask the person at the terminal to log in now, since what comes next needs it.

    Raises:
        LoginRequired: Nobody is there, or they do not want to.
        BrokerError: What `log_in` says.
    """
    with terminal() as asking:
        if asking is None or not asking.confirm(f"Log in to {name} now?", enter_is_yes=True):
            raise required(name)
        asking.say(success(name, log_in(asking, name, Way())))


def success(name: str, standing: dict[str, Any]) -> str:
    """Return the line that says who is logged in, for how long, and what bounds it."""
    who = f"{field(standing, 'subject', str)} ({field(standing, 'issuer', str)})"
    said = [f"logged in to {name} as {who}"]
    if standing.get("until") is not None:
        said.append(f"next login in {output.span(number(standing, 'until'))}")
    return "; ".join([*said, *filter(None, [field(standing, "reason", str)])])


def _begin(client: Client, asking: Terminal, name: str, way: Way) -> dict[str, Any]:
    """Begin a login; return the daemon's answer."""
    if way.device or (way.opens and not browser.is_here(os.environ)):
        try:
            return client.call("login.begin", identity=name, mode="device")
        except IdentityUnavailable as problem:
            if way.device:
                raise
            asking.say(f"There is no browser here, and {problem.message}.")
            asking.say("So the address below has to be opened on this machine.")
    return client.call("login.begin", identity=name, mode="browser")


def _ask(client: Client, asking: Terminal, login: str, wanted: str) -> None:
    """Have the person type what a login wants, until it can be that."""
    while True:
        typed = asking.ask_hidden(wanted)
        try:
            client.call("login.answer", login=login, value=typed)
        except UsageError as problem:
            asking.say(problem.message)
        else:
            return


def _lead(asking: Terminal, name: str, begun: dict[str, Any], way: Way) -> None:
    """Say where the person goes on, and take them there where that can be done."""
    address, code = field(begun, "url", str), begun.get("user_code")
    if not browser.is_web(address):
        raise LoginRefused(f"the provider of {name} sends people to what is no https address")
    here = not way.device and way.opens and browser.is_here(os.environ)
    if here:
        asking.say(f"Your browser opens to log in to {name}. If it does not, go to:")
    elif code is not None:
        asking.say(f"To log in to {name}, open this address on any device:")
    else:
        asking.say(f"To log in to {name}, open this address in a browser on this machine:")
    asking.say(f"  {address}")
    if code is not None:
        # Whoever is sent here by somebody else sees another one: theirs.
        asking.say("and see that the page shows this code:" if here else "and enter this code:")
        asking.say(f"  {code}")
    left = output.span(number(begun, "seconds"))
    asking.say(f"waiting for the browser… (for {left}; Ctrl-C gives up)")
    if code is None:
        # A provider that does not know the client sends nobody back, so nothing would ever come.
        asking.say(_IF_IT_FAILS)
    if here:
        browser.show(address)


def _wait(client: Client, login: str) -> dict[str, Any]:
    while True:
        reply = client.call("login.wait", login=login, seconds=_EACH_SECONDS)
        if field(reply, "done", bool):
            return reply
