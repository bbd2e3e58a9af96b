"""The whole way with the real daemon: store, init, allow, run, and what is then seen of it."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator

import pytest

from tests.brokerctl.conftest import CommandLine

KEY = "sk-proj-" + "A1b2C3d4" * 4
PASSPHRASE = "correct horse battery"
LEASE = """
import os, sys
from brokershim.client import Client
client = Client()
lease = client.call("lease.acquire", secret="openai/dev", session=os.environ["BROKER_SESSION"])
print("leased", lease["lease"], len(lease["value"]), flush=True)
sys.stdin.readline()
"""


@pytest.fixture
def stored(cli: CommandLine) -> Iterator[CommandLine]:
    """Give a command line with a store that a passphrase opens, and one secret in it."""
    assert cli.run("unlock", stdin=PASSPHRASE).returncode == 0
    assert cli.run("secret", "set", "openai/dev", stdin=f"{KEY}\n").returncode == 0
    yield cli
    cli.run("daemon", "stop")


def test_the_way_of_a_newcomer(stored: CommandLine) -> None:
    assert stored.run("init").returncode == 0
    refused = stored.run("run", "true")
    assert (refused.returncode, "brokerctl allow" in refused.stderr) == (3, True)
    assert stored.run("allow").returncode == 0
    done = stored.run("run", sys.executable, "-c", LEASE)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[0::2] == ["leased", str(len(KEY))]
    events = [each["event"] for each in json.loads(stored.run("audit", "--json").stdout)]
    wanted = ["project.allowed", "session.opened", "lease.acquired"]
    assert [each for each in events if each in wanted] == wanted
    assert stored.run("audit", "verify").returncode == 0


def test_a_changed_project_is_asked_about_again(stored: CommandLine) -> None:
    stored.run("init")
    stored.run("allow")
    with (stored.folder / "broker.toml").open("a") as file:
        file.write('OTHER = "openai/dev"\n')
    assert stored.run("run", "true").returncode == 3
    asking = stored.terminal("run", "echo", "it", "ran")
    asking.expect("has changed since it was trusted")
    asking.expect("[y/N] ")
    asking.type("y\n")
    assert asking.end() == 0
    assert "it ran" in asking.seen
    assert stored.run("run", "true").returncode == 0


def test_env_is_approved_in_a_terminal_by_the_kernels_word(stored: CommandLine) -> None:
    command = ["run", "--env", "OPENAI_API_KEY=openai/dev", sys.executable, "-c", LEASE]
    assert stored.run(*command).returncode == 3
    asking = stored.terminal(*command)
    asking.expect("[y/N] ")
    asking.type("y\n")
    asking.expect("leased ")
    asking.type("\n")
    assert asking.end() == 0


def test_a_lease_is_seen_and_revoked(stored: CommandLine) -> None:
    stored.run("init")
    stored.run("allow")
    app = stored.terminal("run", sys.executable, "-c", LEASE)
    app.expect("leased ")
    row = json.loads(stored.run("leases", "--json").stdout)[0]
    assert (row["secret"], row["bounded_by"], row["pid"]) == (
        "openai/dev",
        "broker",
        app.process.pid,
    )
    sessions = json.loads(stored.run("status", "--json").stdout)["sessions"]
    assert [each["root"] for each in sessions] == [app.process.pid]
    done = stored.run("revoke", row["lease"])
    assert row["lease"] in done.stdout
    assert "1 lease ended" in done.stderr
    assert stored.run("leases", "--json").stdout == "[]\n"
    app.type("\n")
    app.end()


def test_a_locked_store_is_unlocked_by_run_in_a_terminal(stored: CommandLine) -> None:
    stored.run("init")
    stored.run("allow")
    stored.run("lock")
    assert stored.run("run", "true").returncode == 8
    asking = stored.terminal("run", "echo", "it", "ran")
    asking.expect("Passphrase: ")
    asking.type(f"{PASSPHRASE}\n")
    assert asking.end() == 0
    assert "it ran" in asking.seen


def test_a_rollback_and_a_removal(stored: CommandLine) -> None:
    assert "version 2" in stored.run("secret", "set", "openai/dev", stdin="other-key").stdout
    assert "version 3" in stored.run("secret", "rollback", "openai/dev").stdout
    shown = json.loads(stored.run("secret", "show", "openai/dev", "--json").stdout)
    assert [each["version"] for each in shown["versions"]] == ["1", "2", "3"]
    assert stored.run("secret", "rollback", "openai/dev", "--to", "9").returncode == 4
    assert stored.run("secret", "rm", "openai/dev").returncode == 0
    assert stored.run("secret", "show", "openai/dev").returncode == 4


def test_options_change_what_is_known_and_not_the_value(stored: CommandLine) -> None:
    done = stored.run("secret", "set", "openai/dev", "--keep-value", "--max-ttl", "5m",
                      "--host", "proxy.example:8443")  # fmt: skip
    assert done.returncode == 0, done.stderr
    shown = json.loads(stored.run("secret", "show", "openai/dev", "--json").stdout)
    assert (shown["max_ttl"], shown["hosts"]) == (300, ["proxy.example:8443"])


def test_the_key_is_in_no_output_and_no_file(stored: CommandLine) -> None:
    stored.run("init")
    stored.run("allow")
    shown = [
        stored.run(*words.split(), env={"GROQ_API_KEY": KEY})
        for words in (
            "secret list", "secret show openai/dev", "secret list --json", "status --json",
            "leases", "audit", "doctor", "daemon logs", "run env",
        )
    ]  # fmt: skip
    assert not [each.args for each in shown if KEY in each.stdout + each.stderr]
    files = [path for path in stored.home.rglob("*") if path.is_file()]
    assert len(files) > 3
    assert not [path for path in files if KEY.encode() in path.read_bytes()]


def test_doctor_finds_all_well(stored: CommandLine) -> None:
    stored.run("init")
    stored.run("allow")
    found = json.loads(stored.run("doctor", "--json").stdout)
    assert {each["name"]: each["state"] for each in found if each["state"] == "fail"} == {}
    assert {"daemon", "store", "protection", "audit", "project"} <= {e["name"] for e in found}
