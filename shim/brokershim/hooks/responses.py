"""What does the app see of a provider's answer, or of a refusal?"""

from __future__ import annotations

import json
from typing import Any

from brokershim.errors import BrokerError
from brokershim.scrub import Scrubber

_FIRST_ERROR = 300
"""Bodies from here on are short texts that may repeat the key; below, they stream untouched."""
_FRAMING = (b"content-length", b"content-encoding", b"transfer-encoding")


def must_read(response: Any) -> bool:
    """Return whether a response's body must be read, to be scrubbed."""
    return bool(response.status_code >= _FIRST_ERROR)


def guarded(module: Any, guard: Any, response: Any, scrubber: Scrubber) -> Any:
    """Return a response with its headers scrubbed, and its body left to stream.

    Args:
        module: httpx or httpx2.
        guard: One of `brokershim.hooks.streams.guards`.
        response: What the transport returned.
        scrubber: Knows the keys that were sent.
    """
    headers = response.headers.raw
    # All at once, for the sake of speed: nearly always there is nothing.
    seen = b"\n".join([_reason(response), *[value for _, value in headers]])
    if scrubber.data(seen) is not seen:
        response.headers = module.Headers(_scrubbed(headers, scrubber))
        response.extensions = _extensions(response, scrubber)
    response.stream = guard(module, response.stream, scrubber)
    return response


def scrubbed(module: Any, response: Any, scrubber: Scrubber) -> Any:
    """Return a scrubbed copy of a response that was read.

    It refers to nothing that the transport made. The body is the decoded one, so it is not said
    to be encoded any more; it can be read, or streamed, as if it came from the network.
    """
    headers, body = _scrubbed(response.headers.raw, scrubber), scrubber.data(response.content)
    if body:
        headers = [(name, value) for name, value in headers if name.lower() not in _FRAMING]
        headers.append((b"content-length", b"%d" % len(body)))
    return module.Response(
        response.status_code,
        headers=headers,
        stream=module.ByteStream(body),
        extensions=_extensions(response, scrubber),
    )


def refusal(module: Any, error: BrokerError) -> Any:
    """Return a 403 that gives an error's reason, as a provider would.

    A response and not an exception: SDKs take an unknown exception for a lost connection and
    try three times, but show the message of a 403 to the developer at once.
    """
    message = f"brokerctl: {error.message} ({error.hint})"
    reason = {"message": message, "type": "brokerctl", "code": error.kind}
    body = json.dumps({"error": reason}).encode()
    headers = {
        "content-type": "application/json",
        "content-length": str(len(body)),
        "x-brokerctl": "refused",
    }
    return module.Response(403, headers=headers, stream=module.ByteStream(body))


def _scrubbed(headers: list[tuple[bytes, bytes]], scrubber: Scrubber) -> list[tuple[bytes, bytes]]:
    return [(name, scrubber.data(value)) for name, value in headers]


def _reason(response: Any) -> bytes:
    """Return a response's reason phrase, which is in the provider's own words too."""
    reason: bytes = response.extensions.get("reason_phrase", b"")
    return reason


def _extensions(response: Any, scrubber: Scrubber) -> dict[str, Any]:
    extensions: dict[str, Any] = response.extensions
    reason = _reason(response)
    washed = scrubber.data(reason)
    return extensions if washed is reason else {**extensions, "reason_phrase": washed}
