"""A key goes to the hosts that its secret names, over a connection that others cannot read."""

from __future__ import annotations

import pytest

from brokershim.errors import HostNotAllowed
from brokershim.hosts import Target, check_host


def allowed(hosts: list[str], scheme: str, host: str, port: int | None = None) -> bool:
    try:
        check_host("openai/dev", tuple(hosts), Target(scheme, host, port))
    except HostNotAllowed:
        return False
    return True


@pytest.mark.parametrize(
    ("entry", "host", "port"),
    [
        ("api.openai.com", "api.openai.com", None),
        ("api.openai.com", "api.openai.com", 8443),
        ("api.openai.com", "API.OpenAI.com", None),
        ("API.OpenAI.com", "api.openai.com", None),
        ("api.openai.com", "api.openai.com.", None),
        ("api.openai.com.", "api.openai.com", None),
        ("api.openai.com:443", "api.openai.com", None),
        ("api.openai.com:8443", "api.openai.com", 8443),
        ("[2001:db8::1]", "2001:db8::1", None),
        ("[2001:db8::1]:8443", "2001:DB8:0::1", 8443),
        ("2001:db8::1", "2001:db8::1", None),
        ("10.0.0.1:8443", "10.0.0.1", 8443),
    ],
)
def test_named_host_is_allowed_over_https(entry: str, host: str, port: int | None) -> None:
    assert allowed(["other.example", entry], "https", host, port)
    assert allowed([entry], "wss", host, port)


@pytest.mark.parametrize(
    ("entry", "host", "port"),
    [
        ("api.openai.com", "openai.com", None),
        ("openai.com", "api.openai.com", None),
        ("api.openai.com", "api.openai.com.evil.example", None),
        ("api.openai.com", "evil-api.openai.com", None),
        ("api.openai.com", "api.openai.comm", None),
        ("api.openai.com", "", None),
        ("api.openai.com:8443", "api.openai.com", None),
        ("api.openai.com:8443", "api.openai.com", 443),
        ("api.openai.com:443", "api.openai.com", 8443),
        ("*.openai.com", "api.openai.com", None),
        ("[2001:db8::1]", "2001:db8::2", None),
        ("[2001:db8::1]:1", "2001:db8::1", 2),
        ("2001:db8::1:1", "2001:db8::1", 1),
        ("127.0.0.1", "127.1", None),
        ("api.openai.com", "xn--api-openai-com", None),
    ],
)
def test_other_host_is_refused(entry: str, host: str, port: int | None) -> None:
    assert not allowed([entry], "https", host, port)


def test_secret_without_hosts_goes_nowhere() -> None:
    assert not allowed([], "https", "api.openai.com")
    assert not allowed([""], "https", "api.openai.com")


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "localhost", "::1", "localhost."])
def test_plain_http_goes_to_this_machine(host: str) -> None:
    assert allowed([f"[{host}]" if ":" in host else host], "http", host, 8080)
    assert allowed([f"[{host}]" if ":" in host else host], "ws", host)


@pytest.mark.parametrize(
    "host", ["api.openai.com", "10.0.0.1", "localhost.evil.example", "127.0.0.1.nip.io", "0.0.0.0"]
)
def test_plain_http_goes_nowhere_else(host: str) -> None:
    with pytest.raises(HostNotAllowed, match="over http") as refused:
        check_host("openai/dev", (host,), Target("http", host, None))
    assert refused.value.hint == "use https"


@pytest.mark.parametrize("scheme", ["ftp", "file", "", "HTTPS", "httpx"])
def test_other_scheme_is_refused(scheme: str) -> None:
    assert not allowed(["127.0.0.1", "api.openai.com"], scheme, "api.openai.com")
    assert not allowed(["127.0.0.1"], scheme, "127.0.0.1")


def test_refusal_says_what_to_type() -> None:
    with pytest.raises(HostNotAllowed, match=r"openai/dev may not be sent to \[::2\]:8") as refused:
        check_host("openai/dev", ("api.openai.com",), Target("https", "::2", 8))
    assert "`brokerctl secret set openai/dev --keep-value --host [::2]:8 " in refused.value.hint
    assert "`hosts` in its table in config.toml" in refused.value.hint  # where `set` is refused
