"""httpx and httpx2 with the hook, for the length of a test."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import httpx2
import pytest

from brokershim.holder import Holder
from brokershim.hooks.httpx_hook import patch
from tests.support.bedrock import NAME, ONE, TWO, Bedrock
from tests.support.fakebroker import FakeBroker
from tests.support.misbehaviour import misbehaving
from tests.support.provider import Provider


@pytest.fixture(autouse=True)
def patched(holder: Holder, monkeypatch: pytest.MonkeyPatch) -> None:
    for library in (httpx, httpx2):
        for client in (library.Client, library.AsyncClient):
            # Set to itself first, so that the end of the test puts it back.
            monkeypatch.setattr(client, "_send_single_request", client._send_single_request)
        patch(library, holder)


@pytest.fixture
def bedrock(broker: FakeBroker) -> Bedrock:
    """Return one that knows two credentials, of which the first are those that are leased."""
    broker.secrets[NAME] = ONE.entry()
    return Bedrock(ONE, TWO)


@pytest.fixture
def provider() -> Iterator[Provider]:
    """Return a provider that does what the path says, and takes any key."""
    with Provider(misbehaving) as made:
        yield made
