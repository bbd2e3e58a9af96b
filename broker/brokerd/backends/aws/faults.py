"""What does botocore raise, and which of our errors is each?

The one translation: botocore's exceptions hold what AWS said, and with a wrong signature it repeats
the session token, so none of them goes further, not even as the context of ours.
"""

from __future__ import annotations

import importlib
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from brokerd.backends.aws.answers import PROXY_HINT, refusal
from brokerd.backends.aws.transport import own_error
from brokershim.errors import (
    BackendTimeout,
    BrokerError,
    ConfigError,
    IdentityUnavailable,
    NotFound,
    RateLimited,
    SecretNotFound,
    ServerDown,
    ServerUnproven,
    ServerUnresolved,
)

_exceptions: Any = importlib.import_module("botocore.exceptions")  # it carries no types
_parsers: Any = importlib.import_module("botocore.parsers")

KINDS: dict[str, type[BrokerError]] = {
    "ConnectTimeoutError": BackendTimeout,
    "ReadTimeoutError": BackendTimeout,
    "SSLError": ServerUnproven,
    "ProxyConnectionError": ServerDown,
    "ConnectionError": ServerDown,
    "HTTPClientError": ServerDown,
    "ChecksumError": ServerDown,
    "FlexibleChecksumError": ServerDown,
    "AwsChunkedWrapperError": ServerDown,
    "IncompleteReadError": ServerDown,
    "MetadataRetrievalError": IdentityUnavailable,
    "NoCredentialsError": IdentityUnavailable,
    "PartialCredentialsError": IdentityUnavailable,
    "CredentialRetrievalError": IdentityUnavailable,
    "NoAuthTokenError": IdentityUnavailable,
    "CapacityNotAvailableError": RateLimited,
    "ParamValidationError": ConfigError,  # botocore's own look, before anything is sent
    "ValidationError": ConfigError,
    "MissingParametersError": ConfigError,
    "InvalidHostLabelError": ConfigError,
    "BaseEndpointResolverError": ConfigError,  # no such region, or none with FIPS
    "UnknownRegionError": ConfigError,
    "EndpointProviderError": ConfigError,
    "InvalidEndpointConfigurationError": ConfigError,
    "ServiceNotInRegionError": ConfigError,
    "BotoCoreError": BrokerError,  # a fault of ours
}
"""Ours by the class that is nearest among its bases, which is BotoCoreError in the end."""
_SAID: dict[type[BrokerError], str] = {
    BackendTimeout: "AWS does not answer in time",
    ServerUnproven: "AWS cannot prove who it is (TLS)",
    RateLimited: "AWS has throttled us, and others wait before this",
    ConfigError: "AWS cannot be asked so: see `region` and what it is asked for in config.toml",
    IdentityUnavailable: "there are no credentials",
}


@contextmanager
def translated(
    what: str, missing: type[NotFound] = SecretNotFound, secrets: tuple[str, ...] = ()
) -> Generator[None]:
    """Turn what botocore raises within into an error of ours.

    Args:
        what: Was being done, and to what, for the message; such as ``reading prod/openai``.
        missing: What it is where AWS has no such thing.
        secrets: What the request held that a message must not show again, such as a token.

    Raises:
        KeysOver: The credentials that were used are over, or were never any.
        BackendRefused: AWS says no; who may not do what is in the message and the details.
        NotFound: What ``missing`` says.
        ClockSkew: This machine's clock is off; by how much is in the message and the details.
        RateLimited, ServerDown, BackendTimeout, ConfigError, …: As `KINDS`, `answers.refusal` and
            the transport say.
    """
    try:
        yield
    except _exceptions.ClientError as error:
        found = refusal(what, error.response, missing, secrets)
    except _exceptions.BotoCoreError as error:
        found = _untold(what, error)
    except _parsers.ResponseParserError:
        found = ServerDown(f"{what}: the answer is none of AWS", hint=PROXY_HINT)
    else:
        return
    try:
        raise found
    finally:
        found.__context__ = None  # `with` puts what was raised within there, in spite of `from`


def _untold(what: str, error: Any) -> BrokerError:
    own = own_error(error)
    if own is not None:
        own.message = f"{what}: {own.message}"
        own.args = (own.message,)
        if isinstance(own, ServerUnresolved):
            own.hint = "is `region` one of AWS's, and can this machine look up names?"
        return own
    kind = next(KINDS[each.__name__] for each in type(error).__mro__ if each.__name__ in KINDS)
    return kind(f"{what}: {_SAID.get(kind, 'it fails')} ({type(error).__name__})")
