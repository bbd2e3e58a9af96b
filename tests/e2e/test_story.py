"""What a user does, from the first key to the last command, as they see it in their terminal."""

from __future__ import annotations

import json
import os
from typing import Any

from demo.home import Done
from tests.e2e.session import Session, eventually, like, runs


def shows(session: Session, command: str, pattern: str, stdin: str = "") -> None:
    """Run a command that is to succeed, and compare all that it prints."""
    done = session.run(command, stdin)
    assert done.status == 0, done
    assert like(done.stdout + done.stderr, pattern), done.stdout + done.stderr


def fails(session: Session, command: str, status: int, error: str, hint: str) -> None:
    """Run a command that is to fail, and compare its status and its two lines."""
    done = session.run(command)
    assert (done.status, done.stdout) == (status, "")
    assert like(done.stderr, f"brokerctl: error: {error}\nbrokerctl: hint: {hint}"), done.stderr


def as_json(session: Session, command: str) -> Any:
    done = session.run(f"{command} --json")
    assert done.status == 0, done
    return json.loads(done.stdout)


def what_is_sent(session: Session, name: str) -> str:
    """Return the key that a program sends to the provider for a secret."""
    session.trust(f'OPENAI_API_KEY = "{name}"\n')
    session.app("ask()")
    session.trust()
    return session.provider.asked[-1].key


def test_the_first_key_and_the_first_program(fresh: Session) -> None:
    shows(fresh, "brokerctl status", "no daemon runs; it starts when it is needed")
    shows(
        fresh,
        "brokerctl unlock",
        "a new store, unlocked; its master key comes from the passphrase",
        stdin=fresh.passphrase,
    )
    shows(
        fresh,
        f"brokerctl secret set openai/dev --host {fresh.provider.host}",
        "openai/dev stored, version 1",
        stdin=fresh.new_key(),
    )
    shows(
        fresh,
        "brokerctl init",
        """
        wrote …/my-app/broker.toml:
        OPENAI_API_KEY  openai/dev
        brokerctl: read it, then run `brokerctl allow`
        """,
    )
    fails(
        fresh,
        "brokerctl run python app.py",
        3,
        "…/my-app/broker.toml is new",
        "read the file, then run `brokerctl allow`",
    )
    shows(
        fresh,
        "brokerctl allow",
        """
        …/my-app/broker.toml was never trusted. It asks for:
          OPENAI_API_KEY  openai/dev
        allowed, until it changes
        """,
    )
    assert fresh.app("print(ask())") == Done(0, "Hello from openai, your key no. 2 is good.\n", "")


def test_a_key_is_typed_unseen(session: Session) -> None:
    key = session.new_key()
    terminal = session.terminal(f"brokerctl secret set openai/typed --host {session.provider.host}")
    terminal.expect("Value of openai/typed: ")
    assert not terminal.echoes()
    terminal.type(key + "\n")
    assert terminal.end() == 0
    assert like(terminal.seen, "Value of openai/typed: \nopenai/typed stored, version 1")
    assert what_is_sent(session, "openai/typed") == key


def test_a_passphrase_is_typed_unseen_and_twice(fresh: Session) -> None:
    terminal = fresh.terminal("brokerctl unlock")
    for prompt in ("passphrase", "again"):
        terminal.expect(prompt)
        assert not terminal.echoes()
        terminal.type(fresh.passphrase + "\n")
    assert terminal.end() == 0
    assert fresh.passphrase not in terminal.seen
    fresh.store()
    shows(fresh, "brokerctl lock", "locked")
    fails(fresh, "brokerctl run --env A=openai/dev -- true", 8, "…", "…brokerctl unlock…")
    assert fresh.run("brokerctl unlock", "wrong").status == 8
    assert fresh.unlock() == Done(0, "unlocked; its master key comes from the passphrase\n", "")


def test_a_key_on_the_command_line_is_refused_and_not_repeated(session: Session) -> None:
    done = session.run("brokerctl secret set openai/dev sk-proj-not-a-real-key-0123456789")
    assert done.status == 2
    assert "is not taken from the command line" in done.stderr
    assert "sk-proj" not in done.stderr


def test_a_program_is_granted_its_key_by_a_person_at_the_terminal(session: Session) -> None:
    session.store("openai/asked")
    session.script("app.py", "from ask import ask\nprint(ask())")
    terminal = session.terminal(
        "brokerctl run --env OPENAI_API_KEY=openai/asked -- python app.py",
    )
    terminal.expect("app.py asks for: openai/asked")
    terminal.expect("Let it, until it ends? [y/N] ")
    terminal.type("y\n")
    assert terminal.end() == 0
    assert "is good." in terminal.seen
    assert session.events(event="session.approved")[-1]["secrets"] == ["openai/asked"]


def test_no_is_no_and_so_is_silence(session: Session) -> None:
    session.store("openai/refused")
    command = "brokerctl run --env OPENAI_API_KEY=openai/refused -- echo started"
    for answer in ("n\n", "\n", "\x04"):
        terminal = session.terminal(command)
        terminal.expect("[y/N] ")
        terminal.type(answer)
        assert terminal.end() == 3
        assert "\nstarted" not in terminal.seen
    fails(
        session,
        command,
        3,
        "a person has to approve openai/refused for this program",
        "run it in a terminal, or write a grant into policy.toml",
    )


def test_a_project_is_trusted_at_the_terminal_and_asked_again_when_it_changes(
    fresh: Session,
) -> None:
    fresh.unlock()
    fresh.store()
    said = {"OPENAI_API_KEY": "was never trusted", "OTHER": "has changed since it was trusted"}
    for variable, words in said.items():
        fresh.script("broker.toml", f'{variable} = "openai/dev"')
        terminal = fresh.terminal("brokerctl run echo it runs")
        terminal.expect(f"{words}. It asks for:")
        terminal.expect("Trust this file? [y/N] ")
        terminal.type("y\n")
        assert terminal.end() == 0
        assert "it runs" in terminal.seen
        assert fresh.run("brokerctl run true").status == 0
    fresh.script("broker.toml", 'THIRD = "openai/dev"')
    fails(fresh, "brokerctl run true", 3, "… has changed since it was allowed", "…allow`")


def test_a_rule_in_policy_toml_grants_it_without_a_question(fresh: Session) -> None:
    fresh.unlock()
    fresh.store()
    run = "brokerctl run --env OPENAI_API_KEY=openai/dev -- python app.py"
    assert fresh.app("print(ask())", run).status == 3
    fresh.grant(f'secrets = ["openai/*"]\nfolder = "{fresh.project}"\nmax_ttl = "2m"')
    assert "is good" in fresh.app("print(ask())", run).stdout
    assert fresh.events(event="lease.acquired")[-1]["seconds"] == 120
    fresh.grant('secrets = ["anthropic/*"]\nunsafe_any_session = true')
    assert fresh.app("print(ask())", run).status == 3
    fresh.grant("secrets = []\nsurprise = 1")
    done = fresh.app("print(ask())", run)
    assert (done.status, done.stdout) == (2, "")
    assert "policy.toml: grant 1" in done.stderr


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
    assert what_is_sent(session, "anthropic/kept") == first != second
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


def test_the_daemon_is_started_stopped_and_looked_at(fresh: Session) -> None:
    unreachable = "no daemon listens on … (No such file or directory)"
    hint = "start it with `brokerctl daemon start`, then see `brokerctl daemon logs`"
    fails(fresh, "brokerctl daemon status", 5, unreachable, hint)
    shows(fresh, "brokerctl daemon stop", "brokerctl: no daemon runs")
    shows(fresh, "brokerctl daemon start", "started, process …")
    pid = fresh.daemon_pid()
    shows(fresh, "brokerctl daemon start", f"already running, process {pid}")
    assert as_json(fresh, "brokerctl daemon status")["pid"] == pid
    assert as_json(fresh, "brokerctl status")["running"] is True
    assert "INFO serving" in fresh.run("brokerctl daemon logs").stdout
    fresh.unlock()
    fresh.store()
    shows(fresh, "brokerctl daemon stop", "stopped")
    assert not runs(pid)
    assert as_json(fresh, "brokerctl status")["running"] is False


def test_the_doctor_finds_what_is_wrong_and_what_to_do(fresh: Session) -> None:
    fresh.unlock()
    fresh.store()
    fresh.trust()
    done = fresh.run("brokerctl doctor")
    assert done.status == 0, done
    assert {each["state"] for each in as_json(fresh, "brokerctl doctor")} == {"ok"}
    fresh.run("brokerctl secret rm openai/dev")
    done = fresh.run("brokerctl doctor")
    assert done.status == 1
    assert "fail  secrets: openai/dev is in broker.toml and not stored" in done.stdout
    assert "store it with `brokerctl secret set openai/dev`" in done.stdout


def test_real_keys_are_taken_out_of_the_environment_and_told_of(session: Session) -> None:
    key = session.new_key()  # in our environment; it must not be in the program's
    done = session.run(
        "brokerctl run env", env={"OPENAI_API_KEY": key, "MY_KEY": key, "BASH_ENV": "/x"}
    )
    assert "OPENAI_API_KEY=brokerref:openai/dev" in done.stdout
    assert "MY_KEY" not in done.stdout
    assert "BASH_ENV" not in done.stdout
    assert like(
        done.stderr,
        "… taken out of the environment: BASH_ENV (loads foreign code), MY_KEY (real key); …",
    )
