"""`brokerctl login`, `logout` and `whoami`: who you are to the places where keys come from."""

from __future__ import annotations

import click

from brokerctl import identities, output, stale
from brokerctl.autostart import connect_or_start
from brokerctl.login import Way, log_in, required, success
from brokerctl.options import IDENTITY, json_option
from brokerctl.prompts import terminal
from brokerctl.replies import field


@click.command()
@click.argument("name", type=IDENTITY, required=False)
@click.option("--device", is_flag=True, help="Log in on any device, with a code.")
@click.option("--no-browser", is_flag=True, help="Only print the address.")
def login(name: str | None, device: bool, no_browser: bool) -> None:
    """Log in to NAME, an identity or a backend; it may be left out where there is only one.

    Opens your browser. Over SSH, or where there is none, it prints an address and a code for any
    other device instead, as --device does. The code of an MFA device is typed here, where one is
    asked for. Ctrl-C gives up, and changes nothing.
    """
    with terminal() as asking:
        client = connect_or_start()
        stale.warn(client)
        chosen = name or identities.the_only_personal_one(client)
        if asking is None:
            raise required(chosen)
        standing = log_in(asking, chosen, Way(device, not no_browser))
    output.result(success(chosen, standing))


@click.command()
@click.argument("name", type=IDENTITY, required=False)
def logout(name: str | None) -> None:
    """Forget the login to NAME, here and at its provider.

    Ends with 0 also where nobody was logged in.
    """
    client = connect_or_start()
    stale.warn(client)
    chosen = name or identities.the_only_personal_one(client)
    reply = client.call("identity.logout", identity=chosen)
    was_logged_in = field(reply, "was_logged_in", bool)
    output.result(
        f"logged out of {chosen}" if was_logged_in else f"nobody was logged in to {chosen}"
    )


@click.command()
@click.argument("name", type=IDENTITY, required=False)
@json_option
def whoami(name: str | None, as_json: bool) -> None:
    """Show who you and this machine are: from where, until when, and what is to be done.

    A state is ready, due (it will soon need a login), login (it needs one now), absent (this
    machine does not have it now) or failed.

    --json: a list of {name, kind, state, issuer, subject, until, reason}; until is in seconds from
    now, or null.
    """
    client = connect_or_start()
    stale.warn(client)
    rows = identities.listed(client)
    if name is not None:
        rows = [identities.named(rows, name)]
    if as_json:
        output.document(identities.facts(rows))
    else:
        identities.show(rows)
