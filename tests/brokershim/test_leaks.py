"""However a request ends, the key is nowhere in the app's memory afterwards.

The app keeps every answer, exception and log record, and has no garbage collection.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.brokershim.conftest import KEY
from tests.support.fakebroker import FakeBroker
from tests.support.misbehaviour import WAYS, misbehaving, released
from tests.support.provider import Provider
from tests.support.session import searched

QUERY = "?key=brokerref%3Aopenai%2Fdev"


@pytest.mark.parametrize("mode", ["sync", "async"])
@pytest.mark.parametrize("library", ["httpx", "httpx2"])
def test_key_is_nowhere_after_requests_that_failed_in_every_way(
    broker: FakeBroker, library: str, mode: str
) -> None:
    with Provider(misbehaving) as provider:
        redirect = f"redirect?to=http://localhost:{provider.port}"
        fine = ["fine", "fine" + QUERY]
        ways = [*fine, "echo" + QUERY, "garbage" + QUERY, redirect, *WAYS]
        result = run(broker, library, mode, provider.url, *ways)
        seen = {(asked.target.strip("/").partition("?")[0]) for asked in provider.asked}
    assert seen >= WAYS.keys() | {"fine"}
    assert all(KEY in f"{asked.headers}" for asked in provider.asked)
    assert result["control"] == 1, "a key that is there is found"
    assert result["found"] == []
    assert len(result["shown"]) > 3 * len(ways)


def run(broker: FakeBroker, *args: str) -> dict[str, Any]:
    released.clear()
    try:
        return searched(broker, KEY, "-m", "tests.brokershim.failing_app", *args)
    finally:
        released.set()
