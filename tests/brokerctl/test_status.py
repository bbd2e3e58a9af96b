"""`brokerctl status`, `leases` and `revoke`."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from brokershim.errors import LeaseNotFound
from tests.brokerctl.conftest import CommandLine

STATUS = {
    "pid": 7,
    "version": "0.1.0",
    "uptime": 61.5,
    "sessions": 1,
    "leases": 1,
    "revoking": 0,
    "connections": 2,
    "store": {"exists": True, "locked": False, "master_key": "keyring", "damaged": None},
    "audit": {"seq": 1, "hash": "00"},
    "policy": {"grants": 2, "error": None},
    "config_changed": False,
    "backends": [],
    "protection": ["not dumpable", "keys sealed: memfd_secret"],
}
SESSION = {
    "session": "s1",
    "root": 9,
    "program": "/usr/bin/python3",
    "script": "/app/app.py",
    "project": "/app",
    "secrets": ["openai/dev"],
    "leases": 1,
}
LEASE = {
    "lease": "l1",
    "secret": "openai/dev",
    "version": "1",
    "session": "s1",
    "pid": 9,
    "expires_in": 899.9,
    "bounded_by": "broker",
}
_BACKEND_KEYS = ("state", "failures", "retry_in", "reason", "keys", "served_for")
NO_IDENTITIES: dict[str, Any] = {"identities": [], "next": None}
ALL: dict[str, Any] = {
    "identity.list": NO_IDENTITIES,
    "daemon.status": STATUS,
    "session.list": {"sessions": [SESSION], "next": None},
    "lease.list": {"leases": [LEASE, {**LEASE, "lease": "l2", "bounded_by": "provider"}],
                   "next": None},
}  # fmt: skip


def test_status(cli: CommandLine) -> None:
    cli.daemon(ALL)
    shown = cli.run("status").stdout
    assert "version 0.1.0, process 7, up 1m 1s" in shown
    assert "unlocked, its master key comes from the keyring" in shown
    assert "2 grants" in shown
    assert "1 event\n" in shown
    assert "s1       9        /app/app.py  /app     openai/dev  1" in shown


@pytest.mark.parametrize(
    ("store", "words"),
    [
        ({"exists": False}, "none yet; `brokerctl unlock` makes it$"),
        ({"exists": True, "locked": True, "master_key": "passphrase"}, "locked, its master key"),
        ({"exists": True, "damaged": "torn"}, "damaged: torn"),
    ],
)
def test_status_of_the_store(cli: CommandLine, store: dict[str, Any], words: str) -> None:
    cli.daemon({**ALL, "daemon.status": {**STATUS, "store": store}})
    assert re.search(rf"^store +{words}", cli.run("status").stdout, re.MULTILINE)


def test_status_says_that_a_broken_policy_grants_nothing(cli: CommandLine) -> None:
    broken = {"grants": 0, "error": "policy.toml is not TOML"}
    cli.daemon({**ALL, "daemon.status": {**STATUS, "policy": broken}})
    assert "nothing is granted: policy.toml is not TOML" in cli.run("status").stdout


@pytest.mark.parametrize(
    ("health", "words"),
    [
        (("closed", 0, None, "", 1, 61.2), "not known to be away"),
        (("closed", 2, None, "h is slow", 1, 61.2), "2 failures in a row: h is slow"),
        (("open", 4, 61.2, "h is slow", 0, None),
         "away, asked again in 1m 1s: h is slow; no key of it is kept"),
        (("open", 4, 61.2, "h is slow", 2, 125.0),
         "away, asked again in 1m 1s: h is slow; 2 keys served meanwhile for 2m 5s"),
        (("half-open", 4, None, "h is slow", 1, None),
         "away, asked again with the next request: h is slow; 1 key served meanwhile"),
    ],
)  # fmt: skip
def test_status_of_a_backend(
    cli: CommandLine, health: tuple[str, int, float | None, str, int, float | None], words: str
) -> None:
    row = dict(zip(("name", *_BACKEND_KEYS), ("corp", *health), strict=True))
    cli.daemon({**ALL, "daemon.status": {**STATUS, "backends": [{**row, "later": 1}]}})
    assert re.search(rf"^corp +{words}$", cli.run("status").stdout, re.MULTILINE)
    assert json.loads(cli.run("status", "--json").stdout)["backends"] == [row]


@pytest.mark.parametrize(
    ("revoking", "words"), [(0, "1"), (2, "1, and 2 ended ones to be revoked at a backend")]
)
def test_status_says_what_is_still_to_be_revoked(
    cli: CommandLine, revoking: int, words: str
) -> None:
    cli.daemon({**ALL, "daemon.status": {**STATUS, "revoking": revoking}})
    assert re.search(rf"^leases +{words}$", cli.run("status").stdout, re.MULTILINE)


def test_status_without_a_daemon_starts_none_and_ends_with_0(cli: CommandLine) -> None:
    done = cli.run("status")
    assert done.returncode == 0
    assert "no daemon runs" in done.stdout
    facts = json.loads(cli.run("status", "--json").stdout)
    assert (facts["running"], facts["pid"], facts["sessions"]) == (False, None, [])
    assert not (cli.home / "run").exists()


def test_leases(cli: CommandLine) -> None:
    cli.daemon(ALL)
    assert cli.run("leases").stdout.splitlines() == [
        "LEASE  SECRET      VERSION  SESSION  PID  ENDS IN  BOUNDED BY",
        "l1     openai/dev  1        s1       9    14m 59s  broker",
        "l2     openai/dev  1        s1       9    14m 59s  provider",
    ]


def test_leases_without_a_daemon(cli: CommandLine) -> None:
    done = cli.run("leases")
    assert (done.returncode, done.stdout) == (0, "")
    assert "so there are no leases" in done.stderr
    assert cli.run("leases", "--json").stdout == "[]\n"


def test_revoke_one_shows_what_it_ended_and_that_a_copy_would_work(cli: CommandLine) -> None:
    fake = cli.daemon({**ALL, "lease.revoke": {"revoked": 1}})
    done = cli.run("revoke", "l1")
    assert "l1     openai/dev" in done.stdout
    assert "l2" not in done.stdout
    assert "brokerctl: 1 lease ended\n" in done.stderr
    assert "a copy of that key would still work" in done.stderr
    assert fake.params("lease.revoke") == [{"lease": "l1"}]


def test_revoke_of_a_provider_bound_lease_says_that_its_key_dies_later(cli: CommandLine) -> None:
    cli.daemon({**ALL, "lease.revoke": {"revoked": 1}})
    said = cli.run("revoke", "l2").stderr
    assert "bounded by provider: a copy of that key would work until it dies by itself" in said
    assert "end it at the provider" not in said


def test_revoke_of_what_its_backend_revokes_does_not_warn(cli: CommandLine) -> None:
    listed = {"leases": [{**LEASE, "bounded_by": "backend"}], "next": None}
    cli.daemon({"lease.list": listed, "lease.revoke": {"revoked": 1}})
    assert "a copy" not in cli.run("revoke", "l1").stderr


def test_revoke_all(cli: CommandLine) -> None:
    fake = cli.daemon({**ALL, "lease.revoke": {"revoked": 2}})
    assert "2 leases ended" in cli.run("revoke", "--all").stderr
    assert fake.params("lease.revoke") == [{"all": True}]


@pytest.mark.parametrize("args", [[], ["l1", "--all"]])
def test_revoke_needs_one_of_both(cli: CommandLine, args: list[str]) -> None:
    fake = cli.daemon(ALL)
    assert cli.run("revoke", *args).returncode == 2
    assert fake.calls == []


def test_revoke_of_no_lease_ends_with_4(cli: CommandLine) -> None:
    cli.daemon({**ALL, "lease.revoke": LeaseNotFound("no live lease 'l9'")})
    assert cli.run("revoke", "l9").returncode == 4


def test_revoke_without_a_daemon(cli: CommandLine) -> None:
    assert cli.run("revoke", "l1").returncode == 4
    assert cli.run("revoke", "--all").returncode == 0


@pytest.mark.parametrize(
    ("args", "keys"),
    [
        (
            ["status"],
            ["running", "socket", "identities", *(k for k in STATUS if k != "sessions"), *SESSION],
        ),
        (["daemon", "status"], ["pid", "version", "uptime", "connections"]),
        (["leases"], list(LEASE)),
    ],
)
def test_json_has_its_documented_keys_and_the_help_names_them(
    cli: CommandLine, args: list[str], keys: list[str]
) -> None:
    cli.daemon(ALL)
    shown = json.loads(cli.run(*args, "--json").stdout)
    rows = shown if isinstance(shown, list) else [shown, *shown.get("sessions", [])]
    named = re.findall(r"[a-z_]+", cli.run(*args, "--help").stdout)
    assert {key for row in rows for key in row} - {"sessions"} == set(keys)
    assert set(keys) <= set(named)
