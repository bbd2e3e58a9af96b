"""Who says that a program gets a key? A person at the terminal, or a rule; and silence is no."""

from __future__ import annotations

from tests.e2e.session import Session
from tests.e2e.transcript import fails


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
        "…in a terminal…policy.toml, or…`brokerctl allow` here",
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
