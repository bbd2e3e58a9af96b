"""Why is there no answer from a server, and may it have had the request? (Pure.)

What the libraries say is not passed on, but for words that are OpenSSL's own: they may repeat what
the server said, and a server may repeat a token.
"""

from __future__ import annotations

import socket
import ssl
from typing import NamedTuple

from brokershim.errors import (
    BackendTimeout,
    BackendUnavailable,
    IdentityUnavailable,
    ServerDown,
    ServerUnproven,
    ServerUnresolved,
)

_NOT_TAKEN = ("CERTIFICATE", "UNKNOWN_CA", "HANDSHAKE_FAILURE", "ACCESS_DENIED", "DECRYPT_ERROR")
"""Alerts with which a server refuses our certificate, or that there is none (RFC 8446, section
6.2). In TLS 1.3 they come only after the request, which is then not read."""

_NOT_NOW = (9, 10)
"""OpenSSL's codes for a certificate that is not valid yet, and not any more (x509_vfy.h): so says
this machine's clock."""

_AWAY_HINT = "see whether it runs, and its address in config.toml"


class Lost(NamedTuple):
    """There is no answer.

    Attributes:
        error: What to tell.
        sent: Whether the server may have the request.
        again: Whether another try may fare better.
    """

    error: BackendUnavailable
    sent: bool
    again: bool = True


def lost(host: str, name: str, failure: Exception, sent: bool) -> Lost:
    """Return what became of a request, from what a library raised.

    Args:
        host: Who was asked.
        name: Who that has to prove to be.
        failure: What was raised.
        sent: Whether the request was, or a part of it.
    """
    if isinstance(failure, TimeoutError):
        return Lost(BackendTimeout(f"{host} does not answer", hint=_AWAY_HINT), sent)
    if isinstance(failure, socket.gaierror):
        return Lost(ServerUnresolved(f"{host} cannot be reached ({_reason(failure)})"), sent)
    if isinstance(failure, ssl.SSLError) and _refuses_us(failure):
        return Lost(_not_taken(host, failure), sent=False, again=False)
    if isinstance(failure, ssl.SSLError) and not sent:
        return Lost(_unproven(host, name, failure), sent, again=False)
    doing = "breaks off" if sent else "cannot be reached"
    hint = _AWAY_HINT if isinstance(failure, ConnectionRefusedError) else None
    return Lost(ServerDown(f"{host} {doing} ({_reason(failure)})", hint=hint), sent)


def _refuses_us(failure: ssl.SSLError) -> bool:
    reason = _code(failure)
    return "_ALERT_" in reason and any(each in reason for each in _NOT_TAKEN)


def _not_taken(host: str, failure: ssl.SSLError) -> IdentityUnavailable:
    return IdentityUnavailable(
        f"{host} wants a TLS certificate of ours, and has none that it takes ({_said(failure)})",
        hint="see what its operators ask for, and the certificate that config.toml names",
    )


def _unproven(host: str, name: str, failure: ssl.SSLError) -> ServerUnproven:
    hint = (
        "see its certificate; an authority of your own: SSL_CERT_FILE for the daemon, "
        "or `ca_file` of a backend that has it"
    )
    if getattr(failure, "verify_code", None) in _NOT_NOW:
        hint = "see whether this machine's clock is right, and then its certificate"
    if _code(failure) == "WRONG_VERSION_NUMBER":
        hint = "it speaks no TLS there: see its address in config.toml"
    return ServerUnproven(
        f"{host} cannot prove that it is {name} (TLS: {_said(failure)})", hint=hint
    )


def _said(failure: ssl.SSLError) -> str:
    """Return OpenSSL's own words, which hold nothing of what either side sent."""
    if isinstance(failure, ssl.SSLCertVerificationError):
        return failure.verify_message
    return (_code(failure) or type(failure).__name__).replace("_", " ").lower()


def _code(failure: ssl.SSLError) -> str:
    """Return OpenSSL's name for it; empty where Python raised it by itself, without one."""
    return getattr(failure, "reason", None) or ""


def _reason(failure: Exception) -> str:
    if isinstance(failure, socket.gaierror):
        return "its name leads to no address"
    if isinstance(failure, ConnectionRefusedError):
        return "nothing listens there"
    if isinstance(failure, ConnectionResetError):
        return "it ended the connection"
    return type(failure).__name__
