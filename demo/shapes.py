"""What do a provider's answers look like as JSON, and as a stream? (Pure.)

Sources: OpenAI's API reference, "Chat Completions" and its streaming events; Anthropic's,
"Messages" and "Streaming Messages". Only what clients need is filled in.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

Json = dict[str, Any]


def openai_answer(model: str, text: str) -> Json:
    """Return a whole chat completion."""
    message = {"role": "assistant", "content": text}
    return {
        **_openai(model, "chat.completion"),
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 9, "completion_tokens": 9, "total_tokens": 18},
    }


def openai_stream(model: str, text: str) -> Iterator[bytes]:
    """Yield a chat completion word by word, as server-sent events."""
    for word in text.split(" "):
        yield _event(_openai_chunk(model, {"role": "assistant", "content": word + " "}, None))
    yield _event(_openai_chunk(model, {}, "stop"))
    yield b"data: [DONE]\n\n"


def openai_refusal(words: str) -> Json:
    """Return the body of a 401."""
    return {
        "error": {
            "message": words,
            "type": "invalid_request_error",
            "param": None,
            "code": "invalid_api_key",
        }
    }


def anthropic_answer(model: str, text: str) -> Json:
    """Return a whole message."""
    return {**_anthropic(model), "content": [{"type": "text", "text": text}]}


def anthropic_stream(model: str, text: str) -> Iterator[bytes]:
    """Yield a message word by word, as server-sent events."""
    block = {"type": "text", "text": ""}
    events: list[Json] = [
        {"type": "message_start", "message": {**_anthropic(model), "content": []}},
        {"type": "content_block_start", "index": 0, "content_block": block},
    ]
    for word in text.split(" "):
        delta = {"type": "text_delta", "text": word + " "}
        events.append({"type": "content_block_delta", "index": 0, "delta": delta})
    events += [
        {"type": "content_block_stop", "index": 0},
        {
            "type": "message_delta",
            "delta": {"stop_reason": "end_turn", "stop_sequence": None},
            "usage": {"output_tokens": 9},
        },
        {"type": "message_stop"},
    ]
    for event in events:
        yield f"event: {event['type']}\n".encode() + _event(event)


def anthropic_refusal(words: str) -> Json:
    """Return the body of a 401."""
    return {"type": "error", "error": {"type": "authentication_error", "message": words}}


def _openai(model: str, kind: str) -> Json:
    return {"id": "chatcmpl-demo", "object": kind, "created": 1700000000, "model": model}


def _openai_chunk(model: str, delta: Json, finish: str | None) -> Json:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return {**_openai(model, "chat.completion.chunk"), "choices": [choice]}


def _anthropic(model: str) -> Json:
    return {
        "id": "msg_demo",
        "type": "message",
        "role": "assistant",
        "model": model,
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": 9, "output_tokens": 9},
    }


def _event(data: Json) -> bytes:
    return f"data: {json.dumps(data)}\n\n".encode()
