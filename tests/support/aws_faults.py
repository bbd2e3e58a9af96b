"""What can AWS, or the network to it, do wrong? One `Fault` each. (Pure.)

The codes and texts are those of the vendor's references: "Common errors" of Secrets Manager and of
STS (docs.aws.amazon.com), and "Troubleshooting Signature Version 4".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

ANY = ""


@dataclass(frozen=True)
class Fault:
    """What happens to a request, in place of its answer or to it.

    Attributes:
        code: The error that is answered; empty for none.
        message: Its text.
        status: Its status.
        action: Which requests it happens to, such as ``GetSecretValue``; all if empty.
        times: How often; then the server is well again. None for ever.
        delay: Seconds before anything else happens.
        connection: What becomes of it: ``drop`` before an answer, ``cut`` in the middle of one.
        body: What is answered instead, with a status of 200, or that of `status`.
        headers: More headers of the answer, or others, such as ``Date``.
    """

    code: str = ""
    message: str = ""
    status: int = 400
    action: str = ANY
    times: int | None = None
    delay: float = 0.0
    connection: Literal["", "drop", "cut"] = ""
    body: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict[str, str])

    def on(self, action: str) -> Fault:
        """Return the same for one action alone."""
        return replace(self, action=action)

    def only(self, times: int) -> Fault:
        """Return the same, so many times."""
        return replace(self, times=times)


THROTTLED = Fault("ThrottlingException", "Rate exceeded")
EXPIRED = Fault("ExpiredTokenException", "The security token included in the request is expired")
UNKNOWN_KEYS = Fault(
    "UnrecognizedClientException", "The security token included in the request is invalid."
)
INTERNAL = Fault("InternalServiceError", "An error occurred on the server side.", 500)
BUSY = Fault("ServiceUnavailable", "The request has failed.", 503)
DELETED = Fault(
    "InvalidRequestException",
    "You can't perform this operation on the secret because it was marked for deletion.",
)
KMS_DENIED = Fault("AccessDeniedException", "Access to KMS is not allowed")
UNDECRYPTABLE = Fault(
    "DecryptionFailure",
    "Secrets Manager can't decrypt the protected secret text using the provided KMS key.",
)
DROPPED = Fault(connection="drop")
CUT = Fault(connection="cut")
"""botocore takes half of a JSON text, as it takes NONSENSE, for an answer without any fields."""
HTML = Fault(status=502, body="<html><body><h1>502 Bad Gateway</h1></body></html>")
NONSENSE = Fault(status=200, body='{"SecretString": ["not", "a", "text"')


def denied(principal: str, action: str, resource: str) -> Fault:
    """Return what AWS says where no policy allows it (IAM guide, "Access denied errors")."""
    message = (
        f"User: {principal} is not authorized to perform: {action} on resource: {resource} "
        "because no identity-based policy allows the action"
    )
    return Fault("AccessDeniedException", message)


def slow(seconds: float) -> Fault:
    """Return an answer that comes late."""
    return Fault(delay=seconds)


def skewed(date: str, signed: str, expired: str) -> Fault:
    """Return what AWS says to a clock that is slow.

    Args:
        date: The ``Date`` of the server.
        signed: When the request says it was signed, as ``20261123T143000Z``.
        expired: Before when that is too old, in the same form.
    """
    message = f"Signature expired: {signed} is now earlier than {expired} ({date} - 5 min.)"
    return Fault("InvalidSignatureException", message, headers={"Date": date})
