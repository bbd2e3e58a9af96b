"""Whatever goes wrong while a request is put together, no frame of its exception holds a lease."""

from __future__ import annotations

import asyncio
import io
from types import TracebackType
from typing import Any

import pytest

from tests.brokershim.hooks import test_botocore, test_signing
from tests.brokershim.hooks.test_botocore import client
from tests.brokershim.hooks.test_signing import BODY, BOTH, asked, signed
from tests.support.bedrock import MODEL, Bedrock
from tests.support.provider import Provider

aws, in_botocore = test_signing.aws, test_botocore.patched


class Once(io.BytesIO):
    """A file whose disk fails, once what it holds was hashed by the app's own signer."""

    ended = 0

    def read(self, size: int | None = -1, /) -> bytes:
        found = super().read(size)
        self.ended += not found
        if self.ended > 1:
            raise OSError("the disk fails")
        return found


def held(trace: TracebackType | None) -> list[str]:
    """Return the names under which a traceback's frames hold leases."""
    found: list[str] = []
    while trace is not None:
        found += [each for each in ("leases", "fresh", "keys") if each in trace.tb_frame.f_locals]
        trace = trace.tb_next
    return found


def sent(library: Any, mode: str, request: Any) -> Any:
    async def asynchronously() -> Any:
        async with library.AsyncClient(trust_env=False) as made:
            return await made.send(request)

    if mode == "async":
        return asyncio.run(asynchronously())
    with library.Client(trust_env=False) as made:
        return made.send(request)


@BOTH
def test_body_that_is_a_stream_of_bytes_is_signed(
    library: Any, mode: str, aws: Provider, bedrock: Bedrock
) -> None:
    url = asked(aws)
    headers = {**signed(url), "Host": f"127.0.0.1:{aws.port}", "Content-Length": f"{len(BODY)}"}
    request = library.Request("POST", url, headers=headers, stream=library.ByteStream(BODY))
    assert sent(library, mode, request).status_code == 200
    assert len(bedrock.verified) == 1


@BOTH
def test_fault_in_httpx(
    library: Any, mode: str, aws: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = asked(aws)
    request = library.Request("POST", url, headers=signed(url), content=BODY)

    def fails(*_: Any) -> None:
        raise OSError("of ours")

    monkeypatch.setattr("brokershim.hooks.requests.payload_of", fails)
    with pytest.raises((OSError, library.TransportError), match="of ours") as failed:
        sent(library, mode, request)
    assert held(failed.value.__traceback__) == []


@pytest.mark.usefixtures("in_botocore")
def test_fault_in_botocore(aws: Provider) -> None:
    with pytest.raises(OSError, match="the disk fails") as failed:
        client(aws.url).invoke_model(modelId=MODEL, body=Once(b"{}"))
    assert held(failed.value.__traceback__) == []
    assert aws.asked == []
