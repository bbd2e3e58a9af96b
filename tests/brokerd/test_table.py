"""How a table's keys are read: each by its type, and none overlooked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from brokerd.table import Table
from brokershim.errors import ConfigError

Read = Callable[[Table], object]


def table(**values: Any) -> Table:
    return Table("/etc/config.toml", "identity.work", values)


def choice(read: Table) -> str:
    return read.choice("key", ("browser", "device"))


def test_each_type_is_read_as_it_stands() -> None:
    read = table(text="a b", list=["a", "b"], flag=True, life="15m", word="device")
    assert read.text("text") == "a b"
    assert read.texts("list") == ("a", "b")
    assert read.flag("flag") is True
    assert read.seconds("life") == 900
    assert read.choice("word", ("browser", "device")) == "device"
    read.finish()


def test_what_is_not_there_has_its_default() -> None:
    read = table()
    assert read.optional_text("text") is None
    assert read.texts("list") == ()
    assert read.flag("flag") is False
    assert read.seconds("life") is None
    assert read.choice("word", ("browser", "device"), "browser") == "browser"


@pytest.mark.parametrize("read", [lambda it: it.text("key"), choice])
def test_what_has_to_be_there_is_missed(read: Read) -> None:
    with pytest.raises(ConfigError, match="key is missing"):
        read(table())


@pytest.mark.parametrize(
    ("slip", "said"),
    [("regio", "region is missing: is `regio` meant for it?"), ("roles", "region is missing")],
)
def test_a_slip_for_what_has_to_be_there_is_named(slip: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Table("config.toml", "backend.cloud", {"login": "x", slip: "y"}).text("region")
    assert caught.value.message == f"config.toml: backend.cloud: {said}"


@pytest.mark.parametrize(
    ("read", "value", "fault"),
    [
        (lambda it: it.text("key"), 5, "key is not a text"),
        (lambda it: it.text("key"), "", "key is empty"),
        (lambda it: it.text("key"), "  ", "key is empty"),
        (lambda it: it.text("key"), "a\nb", "key is not a text"),
        (lambda it: it.optional_text("key"), ["a"], "key is not a text"),
        (choice, "window", "key is none of browser, device"),
        (choice, True, "key is not a text"),
        (lambda it: it.texts("key"), "a", "key is not a list of texts"),
        (lambda it: it.texts("key"), ["a", 5], "key is not a list of texts"),
        (lambda it: it.texts("key"), [""], "key is not a list of texts"),
        (lambda it: it.flag("key"), "true", "key is neither true nor false"),
        (lambda it: it.flag("key"), 1, "key is neither true nor false"),
        (lambda it: it.seconds("key"), 900, "key is not a text"),
        (lambda it: it.seconds("key"), "soon", "key is not a duration"),
    ],
)
def test_a_value_of_another_type_names_the_file_the_table_and_the_key(
    read: Read, value: object, fault: str
) -> None:
    with pytest.raises(ConfigError) as refused:
        read(table(key=value))
    assert refused.value.message.startswith(f"/etc/config.toml: identity.work: {fault}")


def test_a_key_that_nobody_asked_for_is_refused_and_those_known_are_named() -> None:
    read = table(isuer="https://login.example.com")
    read.optional_text("issuer")
    with pytest.raises(ConfigError, match=r"unknown key identity\.work\.isuer") as refused:
        read.finish()
    assert refused.value.hint == "known here: identity.work.issuer"


def test_a_key_that_must_not_stand_there_says_what_to_do_instead() -> None:
    table().refuse("client_secret", "register a public client")
    with pytest.raises(ConfigError, match="client_secret is not accepted") as refused:
        table(client_secret="hidden").refuse("client_secret", "register a public client")
    assert refused.value.hint == "register a public client"
    assert "hidden" not in refused.value.message


def test_a_document_is_read_in_its_shortest_form() -> None:
    text = '{\n  "Statement": ["é", 1],\n  "a": {}\n}\n'
    assert table(policy=text).document("policy") == '{"Statement":["\\u00e9",1],"a":{}}'
    assert table().document("policy") is None


@pytest.mark.parametrize("text", ["[]", "{", "", 3, {"a": 1}, "[" * 100_000, "{} {}"])
def test_what_is_no_document_is_refused_and_not_shown(text: Any) -> None:
    with pytest.raises(ConfigError, match="policy is not a text that is a JSON object"):
        table(policy=text).document("policy")
