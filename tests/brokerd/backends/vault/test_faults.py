"""Is all that hvac raises turned into an error of ours, and does nothing of it come along?"""

from __future__ import annotations

import importlib
import pickle
import traceback
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from brokerd.backends.vault.faults import translated
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

exceptions: Any = importlib.import_module("hvac.exceptions")  # it carries no types
CANARY = "hvs.the-token-that-nobody-may-see"


def _all(root: Any) -> Iterator[Any]:
    yield root
    for each in root.__subclasses__():
        yield from _all(each)


def _raised(error: Exception) -> BrokerError:
    with pytest.raises(BrokerError) as caught, translated("reading a"):
        raise error
    return caught.value


@pytest.mark.parametrize("kind", list(_all(exceptions.VaultError)), ids=lambda kind: kind.__name__)
def test_every_one_is_mapped(kind: Any) -> None:
    error = _raised(kind(f"got {CANARY}", method="get", url="http://a", text=CANARY, json=[CANARY]))
    assert type(error) is not BrokerError
    assert error.message.startswith("reading a: ")
    shown = "".join(traceback.format_exception(error))
    assert CANARY not in shown + repr(error) + str(error.to_wire()) + str(error.__dict__)
    assert error.__context__ is None
    assert error.__cause__ is None
    assert CANARY.encode() not in pickle.dumps(error)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("InvalidRequest", BackendRefused),
        ("Unauthorized", BackendRefused),
        ("Forbidden", BackendRefused),
        ("InvalidPath", NotFound),
        ("UnexpectedError", BackendRefused),
        ("RateLimitExceeded", RateLimited),
        ("InternalServerError", ServerDown),
        ("BadGateway", ServerDown),
        ("VaultNotInitialized", ServerSealed),
        ("VaultDown", ServerSealed),
        ("ParamValidationError", ConfigError),
    ],
)
def test_as_what(name: str, kind: type[BrokerError]) -> None:
    error = _raised(getattr(exceptions, name)(errors=["one", "two"]))
    assert type(error) is kind
    assert error.message == "reading a: one; two"
    if name != "InvalidRequest":
        assert error.hint == kind.hint


def test_the_hint_names_the_backend_where_its_policy_may_be_the_reason() -> None:
    def hint(kind: str) -> str:
        with pytest.raises(BrokerError) as caught, translated("reading a", backend="corp"):
            raise getattr(exceptions, kind)(errors=["no"])
        return caught.value.hint

    assert hint("Forbidden") == "`brokerctl backend check corp` shows what it allows"
    # It is allowed to ask: what it asks for is what is wrong.
    assert hint("InvalidRequest") == (
        "see what config.toml asks it for, and at the server how that is set up"
    )


def test_a_namespace_that_is_not_there_is_told_apart() -> None:
    assert type(_raised(exceptions.InvalidPath(errors=[]))) is NotFound
    gone = exceptions.InvalidPath(errors=["namespace not found"])
    assert type(_raised(gone)) is NamespaceNotFound


def test_what_requests_raises_shows_no_header() -> None:
    error = _raised(requests.exceptions.InvalidHeader(f"Header part ({CANARY}) is bad"))
    assert error.message == "reading a: it cannot be sent (InvalidHeader)"
    assert error.__context__ is None


def test_ours_and_others_pass_through() -> None:
    ours, other = RateLimited("a pause"), KeyError("a mistake of ours")
    assert _raised(ours) is ours
    with pytest.raises(KeyError), translated("reading a"):
        raise other


def test_one_inside_another_is_told_by_the_inner_one() -> None:
    with (
        pytest.raises(NotFound, match="inner"),
        translated("outer"),
        translated("inner"),
    ):
        raise exceptions.InvalidPath
