"""What does it mean where AWS says no? (Pure but for the clock that its own is compared with.)

Sources: "Common Errors" and "Errors" of each action in the API references of Secrets Manager, STS
and IAM Identity Center; IAM User Guide, "Troubleshoot access denied error messages"; the list of
throttling codes that botocore goes by.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any

from brokerd.backends.aws.dates import sent_at
from brokerd.backends.reply import part, text
from brokerd.washing import washed, without
from brokershim.errors import (
    BackendRefused,
    BrokerError,
    ClockSkew,
    ConfigError,
    NotFound,
    RateLimited,
    SecretDeleted,
    ServerDown,
)

_THROTTLED = frozenset(
    {
        "BandwidthLimitExceeded",
        "EC2ThrottledException",
        "LimitExceededException",
        "PriorRequestNotComplete",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestThrottledException",
        "SlowDown",
        "SlowDownException",
        "ThrottledException",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
        "TransactionInProgressException",
    }
)
_OVER = frozenset(
    {
        "ExpiredToken",
        "ExpiredTokenException",
        "InvalidClientTokenId",
        "InvalidToken",
        "UnauthorizedException",
        "UnrecognizedClientException",
    }
)
_TIMES = frozenset({"RequestExpired", "RequestTimeTooSkewed", "RequestInTheFuture"})
_SIGNATURE = frozenset(
    {"AuthFailure", "IncompleteSignature", "InvalidSignatureException", "SignatureDoesNotMatch"}
)
_DENIED = frozenset(
    {
        "AccessDenied",
        "AccessDeniedException",
        "ForbiddenException",
        "NotAuthorized",
        "UnauthorizedOperation",
    }
)
_MISSING = frozenset({"NoSuchEntity", "ResourceNotFoundException"})
_REGION = frozenset({"OptInRequired", "RegionDisabledException"})
_SHAPE = frozenset({"InvalidParameterException", "ValidationError", "ValidationException"})
_UNREADABLE = frozenset({"DecryptionFailure", "EncryptionFailure"})
_WHOM = re.compile(
    r"(?:User: (?P<principal>arn:aws[\w-]*:[\w:/+=,.@-]+) is )?[Nn]ot authorized to perform:? "
    r"(?P<action>[\w-]+:\w+)(?: on (?:the )?resource:? (?P<resource>[\w:/+=,.@*-]+))?",
    re.ASCII,
)
_POLICY = r"[a-z-]+(?: [a-z-]+)? (?:policy|boundary)"
_WHY = re.compile(rf"no {_POLICY}|explicit deny(?: in an? {_POLICY})?")
_LONGEST = 4096
"""Characters of what AWS says; it says far less."""
_CODE = re.compile(r"[A-Za-z][\w.]{0,99}", re.ASCII)
PROXY_HINT = "is there a proxy before it? see `endpoints` of the backend in config.toml"
_SKEW_SECONDS = 240.0
"""AWS refuses a signature that is five minutes off (IAM User Guide, "Signing AWS API requests"); a
little less, for what the request took."""


class KeysOver(BackendRefused):
    """The credentials that a request was signed with are over, or are none any more."""


def refusal(
    what: str,
    answer: Mapping[str, Any],
    missing: type[NotFound],
    secrets: tuple[str, ...] = (),
    now: Callable[[], float] = time.time,
) -> BrokerError:
    """Return the error for an answer that says no.

    Args:
        what: Was being done.
        answer: As botocore has read it (``ClientError.response``).
        missing: What it is where AWS has no such thing.
        secrets: What the request held that a message must not show again.
        now: The wall clock, in seconds since 1970.
    """
    error, about = part(answer, "Error"), part(answer, "ResponseMetadata")
    # Identity Center has its words where OAuth has them (RFC 6749, section 5.2).
    said = text(error, "Message") or text(answer, "error_description")
    said = without(said, *secrets)[:_LONGEST]
    code, status = text(error, "Code"), about.get("HTTPStatusCode", 0)
    if code in _THROTTLED or status == HTTPStatus.TOO_MANY_REQUESTS:
        return RateLimited(f"{what}: AWS asks for a pause ({_named(code)})")
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR or code == "IDPCommunicationError":
        return ServerDown(f"{what}: AWS fails with status {status} ({_named(code)})")
    if code in _TIMES | _SIGNATURE:
        return _badly_signed(what, code, said, _skew(answer, now))
    if not _CODE.fullmatch(code):  # botocore's number of a status, for want of one
        return ServerDown(f"{what}: the answer is none of AWS (status {status})", hint=PROXY_HINT)
    return _no(what, code, said, missing)


def _no(what: str, code: str, said: str, missing: type[NotFound]) -> BrokerError:
    """Return the error for a refusal that is about what was asked."""
    if code in _OVER:
        return KeysOver(f"{what}: the credentials are over, or are none ({code})", hint=_LOGIN)
    if code.startswith("KMS") or code in _UNREADABLE or "kms:" in said or "KMS" in said:
        return _kms(what, code, said)
    if code in _DENIED:
        return _denied(what, code, said)
    if code in _MISSING:
        return missing(f"{what}: AWS has no such thing, or no such version of it", hint=_WHERE)
    if "deletion" in said or "deleted" in said:
        return SecretDeleted(f"{what}: it is marked for deletion", hint=_RESTORE)
    return _other(what, code, washed(said) or "AWS does not say why")


def _other(what: str, code: str, reason: str) -> BrokerError:
    if code in _REGION:
        return ConfigError(f"{what}: AWS does not serve there ({code})", hint=_OPT_IN)
    if code in _SHAPE:
        return ConfigError(f"{what}: {reason} ({code})", hint=_ASKED)
    return BackendRefused(f"{what}: {reason} ({code})", hint=_OTHER.get(code))


_LOGIN = "see `brokerctl whoami`, and `login` of the backend in config.toml"
_WHERE = "see its name, its stage and its version, and `region` of the backend, in config.toml"
_RESTORE = "`aws secretsmanager restore-secret` brings it back while its recovery window lasts"
_OPT_IN = "correct `region` in config.toml, or have that region enabled for the account"
_TRUST = "see the trust policy of the role, and `audience`; `brokerctl whoami` shows who it is"
_TRUSTED = {
    "sts:AssumeRole": "allow it both in the policy of who asks and in the role's trust policy",
    # STS says the same where there is no such role.
    "sts:AssumeRoleWithWebIdentity": "is there such a role, and does its trust policy name this "
    "identity's issuer, `aud` and `sub`? `brokerctl whoami` shows who it is",
}
_ASKED = "see what config.toml says of it, such as `duration`, `role_arn` or `secret_id`"
_STATE = "see how it stands at AWS: no permission is what it lacks"
_NARROWED = "correct `policy` in the secret's table of config.toml, or shorten it"
_OTHER = {
    "IDPRejectedClaim": _TRUST,
    "InvalidIdentityToken": _TRUST,
    "InvalidRequestException": _STATE,
    "MalformedPolicyDocument": _NARROWED,
    "PackedPolicyTooLarge": _NARROWED,
}
_SCOPED = "have a region that the account uses: AWS says that the one signed for is another"


def _kms(what: str, code: str, said: str) -> BackendRefused:
    """Return the error where the secret could be had, and its key could not be used."""
    whom, details = _whom(said)
    return BackendRefused(
        f"{what}: KMS does not decrypt it{whom} ({code})",
        hint="allow `kms:Decrypt` on the secret's key, in the role's policy and in the key's",
        details={**details, "kms": True},
    )


def _denied(what: str, code: str, said: str) -> BackendRefused:
    whom, details = _whom(said)
    why = _WHY.search(said)
    if why is not None:
        details["why"] = why[0]
    action = details.get("action", "that action")
    allow = _TRUSTED.get(action, f"allow {action} there, or see what denies it")
    return BackendRefused(
        f"{what}: access denied{whom} ({code})",
        hint=allow + (f": {details['why']}" if "why" in details else ""),
        details=details,
    )


def _whom(said: str) -> tuple[str, dict[str, Any]]:
    """Return who may not do what, in words and as details; nothing where AWS does not say it."""
    found = _WHOM.search(said)
    if found is None:
        return "", {}
    details = {name: value.rstrip(".") for name, value in found.groupdict().items() if value}
    where = f" on {details['resource']}" if "resource" in details else ""
    whom = details.get("principal", "this identity")
    return f": {whom} may not {details['action']}{where}", details


def _badly_signed(what: str, code: str, said: str, skew: float | None) -> BrokerError:
    """Return the error for a signature; AWS's words are not shown: they may repeat the token."""
    if "scoped to" in said:
        return ConfigError(f"{what}: it is signed for another region ({code})", hint=_SCOPED)
    if skew is not None and (code in _TIMES or abs(skew) >= _SKEW_SECONDS):
        side = "behind" if skew > 0 else "ahead of"
        details = {"skew": round(skew)}
        return ClockSkew(f"this machine's clock is {abs(skew):.0f} s {side} AWS's", details=details)
    if code in _TIMES:
        return ClockSkew(f"{what}: AWS takes this machine's clock for wrong ({code})")
    return KeysOver(f"{what}: AWS does not take the signature ({code})", hint=_LOGIN)


def _skew(answer: Mapping[str, Any], now: Callable[[], float]) -> float | None:
    """Return the seconds that the server's clock is ahead of ours; None where it does not say."""
    sent = sent_at(part(answer, "ResponseMetadata", "HTTPHeaders").get("date"))
    return None if sent is None else sent - now()


def _named(code: str) -> str:
    return code if _CODE.fullmatch(code) else "no code"
