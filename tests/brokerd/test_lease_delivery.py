"""How does a lease say how its key stands in a request?"""

from __future__ import annotations

import pytest

from brokerd.model import Delivery
from tests.support.backends import FakeBackend
from tests.support.daemon import World
from tests.support.inner import inner_daemon
from tests.support.serving import in_a_loop

_BETA = {"anthropic-beta": "oauth-2025-04-20"}


@pytest.mark.parametrize(
    ("delivery", "expected"),
    [
        (Delivery(), {"bearer": False, "headers": {}, "signs": False}),
        (
            Delivery(bearer=True, headers=_BETA),
            {"bearer": True, "headers": _BETA, "signs": False},
        ),
        (Delivery(signs=True), {"bearer": False, "headers": {}, "signs": True}),
    ],
)
@in_a_loop
async def test_a_lease_says_how_its_key_stands_in_a_request(
    granted: World, delivery: Delivery, expected: dict[str, object]
) -> None:
    async with inner_daemon(granted, FakeBackend(delivery=delivery)) as inner:
        client = await inner.client()
        # What signs stands in a variable of AWS, and nowhere else.
        variable = "AWS_ACCESS_KEY_ID" if delivery.signs else "V0"
        await client.call("session.open", program="/bin/true", env={variable: "a"})
        reply = await client.call("lease.acquire", secret="a")
        assert reply["delivery"] == expected
