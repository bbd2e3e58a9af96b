"""A host has one spelling, and what two programs could read differently is none."""

from __future__ import annotations

import pytest

from brokerd.store.hosts import normalise
from brokershim.errors import HostNotAllowed, UsageError
from brokershim.hosts import Target, check_host


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("api.openai.com", "api.openai.com"),
        ("API.OpenAI.com", "api.openai.com"),
        ("localhost:8080", "localhost:8080"),
        ("a.b:1", "a.b:1"),
        ("a.b:65535", "a.b:65535"),
        ("xn--bcher-kva.example", "xn--bcher-kva.example"),
        ("127.0.0.1:443", "127.0.0.1:443"),
        ("[::1]", "[::1]"),
        ("[2001:DB8:0:0::1]:8443", "[2001:db8::1]:8443"),
        ("9to5.example", "9to5.example"),
    ],
)
def test_a_host_is_kept_in_its_one_spelling(given: str, kept: str) -> None:
    assert normalise([given]) == (kept,)


@pytest.mark.parametrize(
    "host",
    [
        "",
        " ",
        "https://api.openai.com",
        "api.openai.com/v1",
        "api.openai.com?x",
        "user@api.openai.com",
        "*.openai.com",
        "*",
        ".openai.com",
        "openai..com",
        "api.openai.com.",
        "-a.com",
        "a-.com",
        "a_b.com",
        "a b",
        "a\n",
        "a.com:",
        "a.com:0",
        "a.com:080",
        "a.com:65536",
        "a.com:99999999",
        "a.com:80:80",
        "a.com:x",
        "a.com:\u0661",
        "bücher.example",
        "\u212a.example",  # the Kelvin sign, which lower() turns into an ASCII k
        "::1",
        "[::1",
        "[::1%eth0]",
        "[1.2.3.4]",
        "[]",
        "1.2.3",
        "127.1",
        "256.1.1.1",
        "0x7f.0.0.1",
        "0x7f000001",
        "2130706433",
        "01.2.3.4",
        "a." * 127 + "b",
        "x" * 64 + ".com",
    ],
)
def test_what_is_not_a_host_is_refused(host: str) -> None:
    with pytest.raises(UsageError) as caught:
        normalise([host])
    assert "a host looks like" in caught.value.hint


def test_each_host_stands_once_in_the_order_given() -> None:
    assert normalise(["b.example", "A.example", "B.example"]) == ("b.example", "a.example")


def test_a_secret_without_a_host_is_refused() -> None:
    with pytest.raises(UsageError) as caught:
        normalise([])
    assert "--host" in caught.value.hint


def test_there_is_an_end_to_how_many() -> None:
    with pytest.raises(UsageError, match="over 32"):
        normalise([f"h{number}.example" for number in range(33)])


def test_a_key_pasted_as_a_host_is_not_repeated() -> None:
    with pytest.raises(UsageError) as caught:
        normalise(["sk-proj_PASTED"])
    assert "PASTED" not in repr(caught.value) + str(caught.value.to_wire())


def test_what_is_kept_is_what_the_shim_compares() -> None:
    kept = normalise(["API.example", "local.example:8443", "[::0001]:9000"])
    for host, port in (("api.example", None), ("local.example", 8443), ("::1", 9000)):
        check_host("s", kept, Target("https", host, port))
    with pytest.raises(HostNotAllowed):
        check_host("s", kept, Target("https", "local.example", None))
