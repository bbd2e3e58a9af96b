"""What does the shim add to a request? Run by `brokerctl run`, inside a session.

One process makes the same call with the shim and without it, in turn, and looks at how long the
client's `send` takes, which is where the shim is. Nothing goes over a network: the answer is there
at once, so the difference is the shim's.
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


class Meter:
    """Times `httpx.Client.send`, with the shim's method below it and with the client's own."""

    def __init__(self) -> None:
        client: Any = httpx.Client
        self._client = client
        self._with = client._send_single_request
        self._without = self._with.__wrapped__
        self._seconds = 0.0
        client.send = self._timed(client.send)

    def pair(self, call: Callable[[], Any]) -> tuple[float, float]:
        """Make a call twice, without the shim and with it; return the seconds of each `send`."""
        self._client._send_single_request = self._without
        call()
        without = self._seconds
        self._client._send_single_request = self._with
        call()
        return without, self._seconds

    def _timed(self, send: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*args: Any, **options: Any) -> Any:
            begun = time.perf_counter()
            answer = send(*args, **options)
            self._seconds = time.perf_counter() - begun
            return answer

        return timed


def answer(request: httpx.Request) -> httpx.Response:
    """Answer at once."""
    del request
    return httpx.Response(200, json=_ANSWER)


def compare(meter: Meter, call: Callable[[], Any]) -> dict[str, list[float]]:
    """Return the seconds of each call, without the shim and with it, in pairs."""
    pairs = [meter.pair(call) for _ in range(WARM + CALLS)][WARM:]
    return {"without": [one for one, _ in pairs], "with": [other for _, other in pairs]}


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
    stopwatch = Meter()
    calls = {"httpx": httpx_call(), "litellm": litellm_call()}
    print(json.dumps({name: compare(stopwatch, call) for name, call in calls.items()}))
