"""What a secret's value and description may be."""

from __future__ import annotations

import math

import pytest

from brokerd.store.format import Record, Version
from brokerd.store.rules import MAX_VALUE, check_value, described
from brokershim.errors import UsageError

KNOWN = Record("openai", ("api.openai.com",), 60.0, (Version(1, "then", b"sealed"),))


@pytest.mark.parametrize("value", [b"k", b"sk-proj-A_b-9", b"~" * MAX_VALUE])
def test_a_key_is_kept_as_it_is(value: bytes) -> None:
    assert check_value(value) == value


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"k" * (MAX_VALUE + 1),
        b"key\n",
        b"key\r\nX-Evil: 1",
        b"\x00",
        b"ke\ty",
        b"key ",
        b" key",
        b"two words",
        b"\x7f",
        "schlüssel".encode(),
        b"\xff",
    ],
)
def test_what_no_header_can_carry_is_refused(value: bytes) -> None:
    with pytest.raises(UsageError, match="the value has"):
        check_value(value)


def test_a_reference_is_no_key() -> None:
    with pytest.raises(UsageError, match="itself a reference"):
        check_value(b"brokerref:openai/dev")


@pytest.mark.parametrize("value", [b"sk-PASTED\n", b"brokerref:PASTED", b"PASTED" * MAX_VALUE])
def test_a_refused_value_is_not_repeated(value: bytes) -> None:
    with pytest.raises(UsageError) as caught:
        check_value(value)
    assert "PASTED" not in repr(caught.value) + str(caught.value.to_wire())


def test_a_new_secret_takes_its_providers_presets() -> None:
    found = described("openai/dev", None, None, None, None)
    assert found == Record("openai", ("api.openai.com",), 900.0, ())


def test_a_provider_that_is_named_wins_over_the_name() -> None:
    found = described("openai/dev", None, "anthropic", None, None)
    assert (found.provider, found.hosts) == ("anthropic", ("api.anthropic.com",))


def test_what_is_given_wins_over_presets() -> None:
    found = described("openai/dev", None, None, ["Proxy.example:8443"], 30)
    assert found == Record("openai", ("proxy.example:8443",), 30.0, ())


def test_a_provider_that_nobody_knows_needs_hosts() -> None:
    found = described("mine/dev", None, "mine", ["mine.example"], None)
    assert (found.provider, found.hosts) == ("mine", ("mine.example",))
    with pytest.raises(UsageError) as caught:
        described("mine/dev", None, "mine", None, None)
    assert "--host" in caught.value.hint


def test_a_name_that_tells_no_provider_has_none() -> None:
    assert described("mine/dev", None, None, ["mine.example"], None).provider == ""


@pytest.mark.parametrize("name", ["mine/dev", "azure/dev"])
def test_a_new_secret_without_a_host_is_refused(name: str) -> None:
    with pytest.raises(UsageError) as caught:
        described(name, None, None, None, None)
    assert "--host" in caught.value.hint


def test_what_is_not_given_stays() -> None:
    assert described("openai/dev", KNOWN, None, None, None) == KNOWN
    assert described("openai/dev", KNOWN, "", None, None).provider == ""
    assert described("openai/dev", KNOWN, None, ["a.b"], None).hosts == ("a.b",)
    assert described("openai/dev", KNOWN, None, None, 61.0).max_ttl == 61.0
    assert described("openai/dev", KNOWN, "x", ["a.b"], 61.0).versions == KNOWN.versions


def test_hosts_cannot_be_taken_away() -> None:
    with pytest.raises(UsageError, match="no host"):
        described("openai/dev", KNOWN, None, [], None)


@pytest.mark.parametrize("seconds", [0, -1, 0.5, 86_401, math.nan, math.inf, -math.inf])
def test_a_lease_has_a_sensible_length(seconds: float) -> None:
    with pytest.raises(UsageError, match="1 s to 86400 s"):
        described("openai/dev", KNOWN, None, None, seconds)


@pytest.mark.parametrize("provider", ["Open AI", "sk-PASTED/x", "x" * 65, "a\n", "-a"])
def test_a_provider_is_a_short_name_and_is_not_repeated(provider: str) -> None:
    with pytest.raises(UsageError) as caught:
        described("openai/dev", KNOWN, provider, None, None)
    assert provider not in caught.value.message
