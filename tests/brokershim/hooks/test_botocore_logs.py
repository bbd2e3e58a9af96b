"""What botocore and urllib3 log of a request that is signed holds nothing that it goes out with."""

from __future__ import annotations

import importlib
import logging
from collections.abc import Callable
from typing import Any

import pytest

from tests.brokershim.hooks import test_botocore as shared
from tests.brokershim.hooks.test_botocore import ASKED, client
from tests.support.bedrock import ONE
from tests.support.provider import Answer, Asked, Misbehave, Provider

patched, provider = shared.patched, shared.provider
pool: Any = importlib.import_module("urllib3.connectionpool")  # as botocore calls it


def malformed(asked: Asked) -> Answer:
    token = asked.headers["x-amz-security-token"]
    raise Misbehave(
        f"HTTP/1.1 200 OK\r\ncontent-length: 2\r\na line with {token}\r\n\r\n{{}}".encode()
    )


def test_answer_that_urllib3_warns_of(provider: Provider, caplog: pytest.LogCaptureFixture) -> None:
    provider.reply = malformed
    client(provider.url).converse(**ASKED)
    assert "Failed to parse headers" in caplog.text
    assert "Traceback" in caplog.text
    check(caplog)


def test_fault_that_botocore_logs(
    provider: Provider, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.DEBUG, "botocore")  # ours may have muted it in this process
    monkeypatch.setattr(pool.HTTPConnectionPool, "urlopen", fails(RuntimeError))
    with pytest.raises(Exception, match="of the pool"):
        client(provider.url).converse(**ASKED)
    assert "RuntimeError: a fault of the pool" in caplog.text
    check(caplog)


def test_fault_of_a_request_without_a_reference_is_logged_as_ever(
    provider: Provider, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.DEBUG, "botocore")  # ours may have muted it in this process
    monkeypatch.setattr(pool.HTTPConnectionPool, "urlopen", fails(RuntimeError))
    with pytest.raises(Exception, match="of the pool"):
        client(provider.url, "AKIAOTHEROTHEROTHER1").converse(**ASKED)
    assert [
        each for each in caplog.records if each.name == "botocore.httpsession" and each.exc_info
    ]


def test_requests_without_a_reference_are_logged_as_ever(
    provider: Provider, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with pytest.raises(Exception, match="UnrecognizedClient"):
        client(provider.url, "AKIAOTHEROTHEROTHER1").converse(**ASKED)
    started = next(each for each in caplog.records if "Starting" in each.getMessage())
    assert "%s" in started.msg


def fails(kind: type[Exception]) -> Callable[..., Any]:
    def urlopen(*_: Any, headers: Any, **__: Any) -> Any:
        raise kind(f"a fault of the pool, with {dict(headers)}")

    return urlopen


def check(caplog: pytest.LogCaptureFixture) -> None:
    """Check that no record holds a key, nor a frame of who sent the request."""
    assert not [each for each in ONE if each in caplog.text]
    sent = [each for each in caplog.records if each.name.startswith(("botocore.http", "urllib3"))]
    assert sent
    assert not [each for each in sent if each.exc_info]
