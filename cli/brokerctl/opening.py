"""How is a session opened, and who is asked when it is not yet allowed?"""

from __future__ import annotations

from typing import Any, NamedTuple

from brokerctl.autostart import connect_or_start
from brokerctl.prompts import terminal
from brokerctl.replies import field, mapping, texts
from brokerctl.trust import describe
from brokerctl.unlocking import unlocked
from brokershim.client import Client
from brokershim.errors import ApprovalRequired, ProjectNotAllowed


class Opened(NamedTuple):
    """A session whose root is this process.

    Attributes:
        label: What BROKER_SESSION is to say.
        references: Variable -> name of the secret.
    """

    label: str
    references: dict[str, str]


def open_session(request: dict[str, Any], who: str | None = None) -> Opened:
    """Make this process the root of a session, asking the person at the terminal where needed.

    Args:
        request: The parameters of `session.open`.
        who: Who asks, as the person is told; the script or program if not given.

    Raises:
        ProjectNotAllowed: The broker.toml is not trusted, and nobody said yes.
        ApprovalRequired: A secret needs approval, and nobody said yes.
        LoginRequired: A secret's identity needs a login, and nobody is there who wants to.
        BrokerError: What else the daemon answers.
    """
    try:
        client, reply = unlocked(lambda: _open(request))
    except ProjectNotAllowed as problem:
        _ask_for_trust(problem)
        client, reply = unlocked(lambda: _open(request))
    label = field(reply, "session", str)
    pending = texts(reply, "pending")
    if pending:
        named = who or str(request.get("script") or request["program"])
        _ask_for_approval(client, label, pending, named)
    for identity in texts(reply, "logins"):
        from brokerctl.login import log_in_if_wanted  # 10 ms that most commands need not spend

        log_in_if_wanted(identity)
    return Opened(label, mapping(reply, "env"))


def _open(request: dict[str, Any]) -> tuple[Client, dict[str, Any]]:
    # A connection for each try: one on which nothing was opened is closed while a person reads.
    client = connect_or_start()
    return client, client.call("session.open", **request)


def _ask_for_trust(problem: ProjectNotAllowed) -> None:
    facts = problem.details
    with terminal() as asking:
        if asking is None:
            raise problem
        for line in describe(facts):
            asking.say(line)
        if not asking.confirm("Trust this file?"):
            raise problem
    # The hash of what was shown: if the file changes meanwhile, nothing is trusted.
    path, sha256 = field(facts, "path", str), field(facts, "sha256", str)
    connect_or_start().call("project.allow", path=path, sha256=sha256)


def _ask_for_approval(client: Client, label: str, pending: list[str], who: str) -> None:
    names = ", ".join(pending)
    refused = ApprovalRequired(
        f"a person has to approve {names} for this program",
        hint="type the same command in a terminal; or grant it: with a [[grant]] in policy.toml, "
        "or for `brokerctl run` with `brokerctl init VARIABLE=SECRET` and `brokerctl allow` here",
    )
    with terminal() as asking:
        if asking is None:
            raise refused
        asking.say(f"{who} asks for: {names}")
        if not asking.confirm("Let it, until it ends?"):
            raise refused
    client.call("session.approve", session=label, secrets=pending)
