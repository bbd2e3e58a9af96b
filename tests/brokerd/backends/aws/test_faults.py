"""Does each exception of botocore become an error of ours, and is nothing of it left?"""

from __future__ import annotations

import importlib
import inspect
import re
import string
import traceback
from typing import Any

import pytest

from brokerd.backends.aws.faults import KINDS, translated
from brokershim.errors import (
    BackendRefused,
    BackendTimeout,
    BrokerError,
    ConfigError,
    IdentityUnavailable,
    NamespaceNotFound,
    RateLimited,
    SecretNotFound,
    ServerDown,
    ServerUnproven,
    ServerUnresolved,
)

exceptions: Any = importlib.import_module("botocore.exceptions")  # it carries no types
parsers: Any = importlib.import_module("botocore.parsers")
MARK = "s3cret-of-the-request"
RAISED = sorted(
    name
    for name, each in vars(exceptions).items()
    if inspect.isclass(each) and issubclass(each, exceptions.BotoCoreError)
)
OURS = re.compile(
    "BotoCoreError|.*(S3|Outpost|DNS|Waiter|Pag|Expression|Stub|SSO|Login|RefreshWith|IMDS|MD5).*"
    "|.*(ConfigError|ConfigNotFound|ConfigParse|(Proxies|Discovery|Retry|Endpoints)Config).*"
    "|.*(Profile|Data|ApiVersion).*|.*(Retry|Defaults)Mode.*|InvalidMaxRetry.*|MissingDependency.*"
    "|(Unknown|Unsupported)(Client|Credential|Service|Signature|Token).*|TokenRetrieval.*|Unseek.*"
)
"""Those that no call can raise but by a fault of ours: of S3, of waiters and pages, of credentials
that botocore finds by itself, and of settings that are constants here."""


def made(name: str) -> Exception:
    """Return an exception of botocore that holds a secret in every field."""
    kind = getattr(exceptions, name)
    fields = {field for _, field, _, _ in string.Formatter().parse(kind.fmt) if field}
    given = dict.fromkeys((each.partition("[")[0] for each in fields), MARK)
    if issubclass(kind, exceptions.WaiterError):
        given["last_response"] = MARK
    failure: Exception = kind(**given)
    return failure


def raised(failure: BaseException) -> BrokerError:
    with pytest.raises(BrokerError) as caught, translated("reading prod/openai"):
        raise failure
    return caught.value


@pytest.mark.parametrize("name", RAISED)
def test_every_exception_is_one_of_ours_and_shows_nothing(name: str) -> None:
    error = raised(made(name))
    assert (type(error) is BrokerError) == bool(OURS.fullmatch(name)), "say in KINDS what it means"
    assert error.message.startswith("reading prod/openai: ")
    said = "".join(traceback.format_exception(error)) + repr(error.details)
    assert MARK not in said
    assert error.__context__ is None
    assert error.__cause__ is None


def test_the_table_names_nothing_that_is_not_there() -> None:
    assert KINDS.keys() <= set(RAISED)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("EndpointConnectionError", ServerDown),
        ("ConnectionClosedError", ServerDown),
        ("ConnectTimeoutError", BackendTimeout),
        ("ReadTimeoutError", BackendTimeout),
        ("SSLError", ServerUnproven),
        ("ProxyConnectionError", ServerDown),
        ("ResponseStreamingError", ServerDown),
        ("ParamValidationError", ConfigError),
        ("UnknownRegionError", ConfigError),
        ("InvalidRegionError", ConfigError),
        ("EndpointVariantError", ConfigError),
        ("EndpointResolutionError", ConfigError),
        ("NoCredentialsError", IdentityUnavailable),
        ("CapacityNotAvailableError", RateLimited),
    ],
)
def test_what_each_means(name: str, kind: type[BrokerError]) -> None:
    assert type(raised(made(name))) is kind


def test_what_cannot_be_read_is_none_of_aws() -> None:
    error = raised(parsers.ResponseParserError(MARK))
    assert type(error) is ServerDown
    assert MARK not in error.message


def test_our_own_error_comes_out_of_botocores() -> None:
    own = ServerUnresolved("sts.example cannot be reached")
    error = raised(exceptions.HTTPClientError(error=own))
    assert error is own
    assert str(error) == error.message == "reading prod/openai: sts.example cannot be reached"
    assert error.__context__ is None


def test_a_refusal_is_read() -> None:
    answer = {"Error": {"Code": "AccessDenied", "Message": MARK}}
    error = raised(exceptions.ClientError(answer, "GetSecretValue"))
    assert type(error) is BackendRefused
    assert MARK not in "".join(traceback.format_exception(error))


def test_what_is_missing_is_what_the_caller_says() -> None:
    failure = exceptions.ClientError({"Error": {"Code": "ResourceNotFoundException"}}, "X")
    assert type(raised(failure)) is SecretNotFound
    with pytest.raises(NamespaceNotFound), translated("reading", NamespaceNotFound):
        raise failure


def test_errors_of_ours_and_faults_of_ours_go_through() -> None:
    own = ServerDown("it is away")
    assert raised(own) is own
    with pytest.raises(ZeroDivisionError), translated("reading"):
        raise ZeroDivisionError
