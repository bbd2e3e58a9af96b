"""What does hvac raise, and which of our errors is each?

The one translation: hvac's exceptions hold what the server said, so none of them goes further, not
even as the context of ours.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import requests

from brokerd.backends.vault.client import hvac
from brokershim.errors import (
    BackendRefused,
    BrokerError,
    ConfigError,
    NamespaceNotFound,
    NotFound,
    RateLimited,
    ServerDown,
    ServerSealed,
)

_KINDS: dict[str, type[BrokerError]] = {
    "InvalidRequest": BackendRefused,  # 400
    "Unauthorized": BackendRefused,  # 401
    "Forbidden": BackendRefused,  # 403
    "InvalidPath": NotFound,  # 404
    "UnsupportedOperation": BackendRefused,
    "PreconditionFailed": BackendRefused,
    "RateLimitExceeded": RateLimited,  # this and the next four: the transport was quicker
    "InternalServerError": ServerDown,
    "VaultNotInitialized": ServerSealed,
    "VaultDown": ServerSealed,
    "BadGateway": ServerDown,
    "ParamValidationError": ConfigError,  # hvac's own look, before anything is sent
    "UnexpectedError": BackendRefused,  # another 4xx, such as 405 or 413
    "VaultError": BackendRefused,
}
_UNFIT_HINT = "see what config.toml asks it for, and at the server how that is set up"


@contextmanager
def translated(what: str, backend: str | None = None) -> Generator[None]:
    """Turn what hvac raises within into an error of ours.

    Args:
        what: Was being done, and to what, for the message; such as ``reading secret/llm``.
        backend: Whose token is used, for the hint of a 403; None while there is none.

    Raises:
        BackendRefused: The server says no; its reason is in the message.
        NotFound: The server has no such thing.
        NamespaceNotFound: It has no such namespace.
        ServerDown, BackendTimeout, …: As the transport says.
    """
    try:
        yield
    except hvac.exceptions.VaultError as error:
        found = _translated(what, error)
        found.hint = _hint(type(error).__name__, backend) or found.hint
    except requests.RequestException as error:  # its text may hold a header, and so a token
        found = BrokerError(f"{what}: it cannot be sent ({type(error).__name__})")
    else:
        return
    try:
        raise found
    finally:
        found.__context__ = None  # `with` puts what was raised within there, in spite of `from`


def _translated(what: str, error: Any) -> BrokerError:
    kind, reason = _KINDS[type(error).__name__], "; ".join(error.errors or ())
    if kind is NotFound and "namespace not found" in reason:
        return NamespaceNotFound(f"{what}: there is no such namespace")
    if kind is NotFound:
        return NotFound(f"{what}: {reason or 'there is no such thing'}")
    return kind(f"{what}: {reason or 'the server does not say why'}")


def _hint(kind: str, backend: str | None) -> str | None:
    """Return what to do about a refusal; None where its class says that."""
    if kind == "Forbidden" and backend is not None:
        return f"`brokerctl backend check {backend}` shows what it allows"
    return _UNFIT_HINT if kind == "InvalidRequest" else None
