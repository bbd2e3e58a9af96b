"""What a user does, from the first key to the last command, as they see it in their terminal."""

from __future__ import annotations

from demo.home import Done
from tests.e2e.session import Session, runs
from tests.e2e.transcript import as_json, fails, like, shows


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
    assert session.key_sent_for("openai/typed") == key


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
