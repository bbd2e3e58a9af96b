"""`brokerctl secret`: what is asked of the daemon, and what is shown."""

from __future__ import annotations

import json
from typing import Any

import pytest

from brokershim.errors import Locked, SecretNotFound, WrongPassphrase
from tests.brokerctl.conftest import CommandLine

ROW = {
    "name": "openai/dev",
    "provider": "openai",
    "hosts": ["api.openai.com"],
    "backend": "embedded",
    "max_ttl": 900.0,
    "version": "2",
    "bounded_by": "broker",
}
STORED = {"name": "openai/dev", "version": "1", "created": True}


def test_set_sends_what_the_options_say(cli: CommandLine) -> None:
    fake = cli.daemon({"secret.set": STORED})
    done = cli.run(
        "secret", "set", "openai/dev", "--provider", "openai", "--host", "a.example",
        "--host", "b.example:8443", "--max-ttl", "5m", stdin="v\n",
    )  # fmt: skip
    assert done.stdout == "openai/dev stored, version 1\n"
    assert fake.params("secret.set") == [
        {
            "name": "openai/dev",
            "value": "v",
            "provider": "openai",
            "hosts": ["a.example", "b.example:8443"],
            "max_ttl": 300,
        }
    ]


def test_keep_value_reads_nothing(cli: CommandLine) -> None:
    fake = cli.daemon({"secret.set": {**STORED, "created": False}})
    done = cli.run("secret", "set", "openai/dev", "--keep-value", "--max-ttl", "90", stdin="no")
    assert done.stdout == "openai/dev changed, version 1\n"
    assert fake.params("secret.set") == [{"name": "openai/dev", "max_ttl": 90}]


@pytest.mark.parametrize("text", ["", "0", "-1", "15 m", "1d", "25h", "1e3", "٣"])
def test_a_bad_duration_is_refused(cli: CommandLine, text: str) -> None:
    done = cli.run("secret", "set", "openai/dev", "--max-ttl", text, stdin="v")
    assert done.returncode == 2
    assert "not a duration" in done.stderr


@pytest.mark.parametrize("name", ["", "OpenAI/dev", "a//b", "/a", "a/", "a b", "../a", "a/b/c/d/e"])
def test_a_bad_name_is_refused_before_anything_is_read(cli: CommandLine, name: str) -> None:
    done = cli.run("secret", "set", name, stdin="v")
    assert done.returncode == 2
    assert "not a secret's name" in done.stderr


def test_a_locked_store_is_unlocked_on_the_way_in_a_terminal(cli: CommandLine) -> None:
    def unlock(params: dict[str, Any]) -> dict[str, Any]:
        if params.get("passphrase") != "open sesame":
            raise Locked("locked", details={"needs": "passphrase"})
        fake.answers["secret.set"] = STORED
        return {"master_key": "passphrase", "created": False}

    fake = cli.daemon(
        {"secret.set": Locked("the store is locked", details={"needs": "passphrase"})}
    )
    fake.answers["store.unlock"] = unlock
    asking = cli.terminal("secret", "set", "openai/dev", stdin=b"v\n")
    asking.expect("the store is locked.")
    asking.expect("Passphrase: ")
    asking.type("open sesame\n")
    assert asking.end() == 0
    assert "open sesame" not in asking.seen
    assert [each["value"] for each in fake.params("secret.set")] == ["v", "v"]


def test_a_wrong_passphrase_ends_with_8(cli: CommandLine) -> None:
    def unlock(params: dict[str, Any]) -> dict[str, Any]:
        if "passphrase" in params:
            raise WrongPassphrase("the passphrase does not open the store")
        raise Locked("locked", details={"needs": "passphrase"})

    cli.daemon({"secret.set": Locked("locked", details={"needs": "passphrase"}),
                "store.unlock": unlock})  # fmt: skip
    asking = cli.terminal("secret", "set", "openai/dev", stdin=b"v\n")
    asking.expect("Passphrase: ")
    asking.type("wrong\n")
    assert asking.end() == 8
    assert "does not open" in asking.seen


def test_without_a_terminal_locked_is_passed_on(cli: CommandLine) -> None:
    fake = cli.daemon({"secret.set": Locked("locked", details={"needs": "passphrase"})})
    done = cli.run("secret", "set", "openai/dev", stdin="v")
    assert done.returncode == 8
    assert "`brokerctl unlock`" in done.stderr
    assert fake.params("store.unlock") == []


def test_list(cli: CommandLine) -> None:
    cli.daemon({"secret.list": {"secrets": [ROW], "next": None}})
    assert cli.run("secret", "list").stdout.splitlines() == [
        "NAME        PROVIDER  HOSTS           LONGEST LEASE  VERSION  BOUNDED BY",
        "openai/dev  openai    api.openai.com  15m            2        broker",
    ]


def test_list_shows_what_it_can_though_the_store_is_locked(cli: CommandLine) -> None:
    row = {**ROW, "name": "anthropic/team", "version": "", "bounded_by": "provider"}
    fake = cli.daemon(
        {"secret.list": {"secrets": [row], "next": None, "unlisted": "the store is locked"}}
    )
    done = cli.run("secret", "list")
    assert done.stdout.splitlines()[1].split() == [
        "anthropic/team", "openai", "api.openai.com", "15m", "-", "provider",
    ]  # fmt: skip
    assert "warning: the secrets of the embedded store are not shown" in done.stderr
    assert done.returncode == 0
    assert json.loads(cli.run("secret", "list", "--json").stdout) == [row]
    assert fake.params("secret.list") == [{"partial": True}, {"partial": True}]


def test_list_goes_through_every_page(cli: CommandLine) -> None:
    def page(params: dict[str, Any]) -> dict[str, Any]:
        last = params.get("after") == "a"
        return {"secrets": [{**ROW, "name": "b" if last else "a"}], "next": None if last else "a"}

    cli.daemon({"secret.list": page})
    assert [row["name"] for row in json.loads(cli.run("secret", "list", "--json").stdout)] == [
        "a",
        "b",
    ]


def test_list_as_json_has_its_documented_keys_and_no_others(cli: CommandLine) -> None:
    cli.daemon({"secret.list": {"secrets": [{**ROW, "added_later": 1}], "next": None}})
    assert json.loads(cli.run("secret", "list", "--json").stdout) == [ROW]


def test_an_empty_list(cli: CommandLine) -> None:
    cli.daemon({"secret.list": {"secrets": [], "next": None}})
    done = cli.run("secret", "list")
    assert (done.stdout, done.stderr) == ("", "brokerctl: no secret is stored\n")
    assert cli.run("secret", "list", "--json").stdout == "[]\n"


def test_show(cli: CommandLine) -> None:
    versions = [{"version": "1", "created": "2026-11-23T07:00:00Z"}]
    cli.daemon({"secret.show": {**ROW, "versions": versions}})
    shown = cli.run("secret", "show", "openai/dev").stdout
    assert "hosts          api.openai.com\n" in shown
    assert "1        2026-11-23T07:00:00Z\n" in shown
    as_json = json.loads(cli.run("secret", "show", "openai/dev", "--json").stdout)
    assert as_json == {**ROW, "versions": versions}


def test_show_says_where_the_versions_of_another_backend_are(cli: CommandLine) -> None:
    cli.daemon({"secret.show": {**ROW, "backend": "corp", "versions": []}})
    done = cli.run("secret", "show", "openai/dev")
    assert done.stderr == "brokerctl: its versions are at corp\n"


def test_show_says_that_what_a_backend_makes_has_no_versions(cli: CommandLine) -> None:
    made = {**ROW, "backend": "corp", "bounded_by": "provider", "versions": []}
    cli.daemon({"secret.show": made})
    done = cli.run("secret", "show", "openai/dev")
    assert done.stderr == "brokerctl: corp makes it: it has no versions\n"


def test_rm_and_rollback(cli: CommandLine) -> None:
    fake = cli.daemon({"secret.remove": {}, "secret.rollback": {"name": "a", "version": "3"}})
    assert cli.run("secret", "rm", "a").stdout == "a removed\n"
    assert cli.run("secret", "rollback", "a").stdout == "a rolled back, now version 3\n"
    assert cli.run("secret", "rollback", "a", "--to", "1").returncode == 0
    assert cli.run("secret", "rollback", "a", "--to", "0").returncode == 2
    assert fake.params("secret.rollback") == [{"name": "a"}, {"name": "a", "version": "1"}]


def test_an_unknown_secret_ends_with_4(cli: CommandLine) -> None:
    cli.daemon({"secret.show": SecretNotFound("there is no secret a")})
    assert cli.run("secret", "show", "a").returncode == 4


@pytest.mark.parametrize("reply", [{}, {"secrets": None}, {"secrets": [{"name": 1}]}])
def test_a_reply_that_makes_no_sense_is_an_error(cli: CommandLine, reply: dict[str, Any]) -> None:
    cli.daemon({"secret.list": reply})
    done = cli.run("secret", "list")
    assert done.returncode == 7
    assert "the daemon's reply has no usable" in done.stderr
