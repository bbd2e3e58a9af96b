"""Is it told why there is no answer, and whether the request may have been taken?"""

from __future__ import annotations

import http.client
import socket
import ssl

import pytest

from brokerd.lost import lost
from brokershim.errors import (
    BackendTimeout,
    BrokerError,
    IdentityUnavailable,
    ServerDown,
    ServerUnproven,
    ServerUnresolved,
)

SAID = "what-the-server-said"


def _alert(name: str) -> ssl.SSLError:
    error = ssl.SSLError(1, SAID)
    error.reason = name
    return error


@pytest.mark.parametrize(
    ("failure", "kind", "again"),
    [
        (TimeoutError(SAID), BackendTimeout, True),
        (socket.gaierror(socket.EAI_NONAME, SAID), ServerUnresolved, True),
        (ConnectionRefusedError(SAID), ServerDown, True),
        (http.client.BadStatusLine(SAID), ServerDown, True),
        (_alert("WRONG_VERSION_NUMBER"), ServerUnproven, False),
        (_alert("TLSV1_ALERT_INTERNAL_ERROR"), ServerUnproven, False),
        (ssl.SSLEOFError(8, SAID), ServerUnproven, False),
        (_alert("TLSV13_ALERT_CERTIFICATE_REQUIRED"), IdentityUnavailable, False),
        (_alert("TLSV1_ALERT_UNKNOWN_CA"), IdentityUnavailable, False),
    ],
)
def test_before_it_was_sent(failure: Exception, kind: type[BrokerError], again: bool) -> None:
    found = lost("vault.example", "vault.example", failure, sent=False)
    assert type(found.error) is kind
    assert (found.sent, found.again) == (False, again)
    assert "vault.example" in found.error.message
    assert SAID not in found.error.message


@pytest.mark.parametrize(
    ("failure", "kind", "sent"),
    [
        (TimeoutError(), BackendTimeout, True),
        (ConnectionResetError(), ServerDown, True),
        (http.client.IncompleteRead(SAID.encode()), ServerDown, True),
        (ssl.SSLEOFError(8, SAID), ServerDown, True),
        (_alert("TLSV1_ALERT_INTERNAL_ERROR"), ServerDown, True),
        (_alert("SSLV3_ALERT_BAD_CERTIFICATE"), IdentityUnavailable, False),
        (_alert("SSLV3_ALERT_CERTIFICATE_EXPIRED"), IdentityUnavailable, False),
    ],
)
def test_after_it_was_sent(failure: Exception, kind: type[BrokerError], sent: bool) -> None:
    found = lost("vault.example", "vault.example", failure, sent=True)
    assert type(found.error) is kind
    assert found.sent is sent
    assert SAID not in found.error.message


@pytest.mark.parametrize("failure", [ConnectionResetError(), http.client.RemoteDisconnected(SAID)])
def test_it_is_not_told_in_the_words_of_a_library(failure: Exception) -> None:
    found = lost("vault.example", "vault.example", failure, sent=True)
    assert found.error.message == "vault.example breaks off (it ended the connection)"


def test_a_certificate_says_what_is_wrong_with_it() -> None:
    failure = ssl.SSLCertVerificationError(1, SAID)
    failure.verify_message = "certificate has expired"
    found = lost("10.0.0.1:8200", "vault.internal", failure, sent=False)
    assert found.error.message == (
        "10.0.0.1:8200 cannot prove that it is vault.internal (TLS: certificate has expired)"
    )


@pytest.mark.parametrize("code", [9, 10])
def test_a_clock_may_be_why_a_certificate_is_over_or_not_yet_valid(code: int) -> None:
    failure = ssl.SSLCertVerificationError(1, SAID)
    failure.verify_code, failure.verify_message = code, "certificate is not yet valid"
    found = lost("vault.example", "vault.example", failure, sent=False)
    assert "this machine's clock" in (found.error.hint or "")


@pytest.mark.parametrize(
    ("failure", "hint"),
    [
        (TimeoutError(), "see whether it runs, and its address in config.toml"),
        (ConnectionRefusedError(), "see whether it runs, and its address in config.toml"),
        (_alert("WRONG_VERSION_NUMBER"), "it speaks no TLS there: see its address in config.toml"),
        (ConnectionResetError(), ServerDown.hint),
    ],
)
def test_what_is_most_likely_wrong_comes_first(failure: Exception, hint: str) -> None:
    assert lost("vault.example", "vault.example", failure, sent=False).error.hint == hint
