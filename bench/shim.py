"""What does the shim add to a request? Run by `brokerctl run`, inside a session.

One process makes the same call with the shim and without it, in turn. Nothing goes over a
network: the answer is there at once, so the difference is the shim's.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from typing import Any

import httpx

WARM, CALLS = 50, 1000
_URL = "https://127.0.0.1/v1"
_ANSWER = {
    "id": "x",
    "object": "chat.completion",
    "created": 1,
    "model": "m",
    "choices": [
        {"index": 0, "message": {"role": "assistant", "content": "ok"}, "finish_reason": "stop"}
    ],
    "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
}


class Toggle:
    """The shim's method of a client, and the client's own, by turns."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self._with = client._send_single_request
        self._without = self._with.__wrapped__

    def on(self) -> None:
        """Send with the shim."""
        self._client._send_single_request = self._with

    def off(self) -> None:
        """Send without it; the reference then stays in the header."""
        self._client._send_single_request = self._without


def answer(request: httpx.Request) -> httpx.Response:
    """Answer at once."""
    del request
    return httpx.Response(200, json=_ANSWER)


def compare(call: Callable[[], Any]) -> dict[str, list[float]]:
    """Return the seconds of each call, without the shim and with it, in pairs."""
    toggle = Toggle(httpx.Client)
    pairs: list[tuple[float, float]] = []
    for _ in range(WARM + CALLS):
        toggle.off()
        without = _timed(call)
        toggle.on()
        pairs.append((without, _timed(call)))
    return dict(zip(("without", "with"), map(list, zip(*pairs[WARM:], strict=True)), strict=True))


def _timed(call: Callable[[], Any]) -> float:
    begun = time.perf_counter()
    call()
    return time.perf_counter() - begun


def httpx_call() -> Callable[[], Any]:
    """Return a call of httpx."""
    client = httpx.Client(transport=httpx.MockTransport(answer))
    headers = {"authorization": f"Bearer {os.environ['OPENAI_API_KEY']}"}
    return lambda: client.post(_URL, headers=headers, content=b"{}")


def litellm_call() -> Callable[[], Any]:
    """Return a call of LiteLLM."""
    import litellm

    litellm.client_session = httpx.Client(transport=httpx.MockTransport(answer))
    question = [{"role": "user", "content": "hello"}]
    return lambda: litellm.completion("openai/m", question, api_base=_URL)


if __name__ == "__main__":
    print(json.dumps({"httpx": compare(httpx_call()), "litellm": compare(litellm_call())}))
