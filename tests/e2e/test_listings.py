"""What is stored, what is leased, and what has happened, as the commands tell it."""

from __future__ import annotations

import os

from tests.e2e.session import Session, eventually
from tests.e2e.transcript import as_json, fails, like, shows


def test_secrets_are_listed_shown_rolled_back_and_removed(session: Session) -> None:
    first, host = session.store("anthropic/kept"), session.provider.host
    second = session.store("anthropic/kept")
    shows(
        session,
        "brokerctl secret show anthropic/kept",
        f"""
        name           anthropic/kept
        provider       anthropic
        hosts          {host}
        longest lease  15m
        version        2
        bounded by     broker
        VERSION  CREATED
        1        …
        2        …
        """,
    )
    shown = as_json(session, "brokerctl secret show anthropic/kept")
    assert [each["version"] for each in shown["versions"]] == ["1", "2"]
    listed = as_json(session, "brokerctl secret list")
    assert {"anthropic/kept", "openai/dev"} <= {each["name"] for each in listed}
    assert f"anthropic/kept  anthropic  {host}" in session.run("brokerctl secret list").stdout
    shows(
        session,
        "brokerctl secret rollback anthropic/kept",
        "anthropic/kept rolled back, now version 3",
    )
    assert session.key_sent_for("anthropic/kept") == first != second
    shows(session, "brokerctl secret rm anthropic/kept", "anthropic/kept removed")
    fails(session, "brokerctl secret show anthropic/kept", 4, "there is no secret …", "…")


def test_what_is_leased_is_listed_and_revoked(session: Session) -> None:
    with session.starts("print(ask(), flush=True); input(); print(ask())") as app:
        assert "is good" in app.says()
        (lease,) = as_json(session, "brokerctl leases")
        assert (lease["secret"], lease["pid"]) == ("openai/dev", app.pid)
        assert lease["bounded_by"] == "broker"
        (root,) = as_json(session, "brokerctl status")["sessions"]
        assert (root["root"], root["leases"]) == (app.pid, 1)
        shows(
            session,
            f"brokerctl revoke {lease['lease']}",
            f"""
            LEASE  SECRET  VERSION  SESSION  PID  ENDS IN  BOUNDED BY
            {lease["lease"]}  openai/dev … {app.pid}  … broker
            brokerctl: 1 lease ended
            brokerctl: bounded by broker: a copy of that key would still work; …
            """,
        )
        app.go_on()
        assert like(app.says(), "403 brokerctl: …revoked by hand (start … again …)")
    shows(session, "brokerctl revoke --all", "brokerctl: no leases\nbrokerctl: 0 leases ended")
    fails(session, "brokerctl revoke 00", 4, "no live lease '00'", "see `brokerctl leases`")
    (ended,) = session.events(event="lease.ended", lease=lease["lease"])
    assert ended["reason"] == "revoked by hand"


def test_the_audit_is_read_and_checked(session: Session) -> None:
    session.app("print(ask())")
    label = session.events(event="session.opened")[-1]["session"]
    assert eventually(lambda: bool(session.events(event="session.ended", session=label)))
    story = session.events(session=label)
    assert {each["event"] for each in story} == {
        "session.opened",
        "lease.acquired",
        "lease.ended",
        "session.ended",
    }
    assert story[1]["secret"] == "openai/dev"
    head = as_json(session, "brokerctl audit verify")
    assert (head["problems"], head["seq"]) == ([], session.events()[-1]["seq"])
    shows(
        session,
        f"brokerctl audit verify --head {head['seq']}:{head['hash']}",
        f"whole: {head['events']} events in 1 …\nits end is {head['seq']}:{head['hash']}",
    )


def test_a_changed_line_of_the_audit_is_found(fresh: Session) -> None:
    fresh.unlock()
    fresh.store()
    assert fresh.run("brokerctl audit verify").status == 0
    fresh.stop()
    folder = os.path.join(fresh.state, "audit")
    (log,) = (os.path.join(folder, each) for each in os.listdir(folder) if each.endswith("jsonl"))
    with open(log, "r+b") as file:
        text = file.read()
        file.seek(0)
        file.write(text.replace(b"openai/dev", b"openai/xyz"))
    done = fresh.run("brokerctl audit verify")
    assert done.status == 1
    assert "NOT WHOLE" in done.stdout
