"""What has IAM Identity Center given us? Read from its answers. (Pure.)"""

from __future__ import annotations

from dataclasses import dataclass, field

from brokerd.backends.aws.dates import sent_at
from brokerd.backends.aws.login.base import Keys
from brokerd.backends.reply import number, part, text
from brokerd.http import check_url
from brokerd.identities.oidc.clocks import Clocks
from brokershim.errors import ConfigError, ServerDown
from brokershim.reference import is_key

_MILLISECONDS = 1000.0
_LONGEST_CODE = 40
_SECONDS, _INTERVAL = 600.0, 5.0


@dataclass(frozen=True)
class Registered:
    """Who we are there. Its repr shows no secret.

    Attributes:
        id: Our name.
        secret: Proves it.
        until: When both end, in seconds since 1970.
    """

    id: str
    secret: str = field(repr=False)
    until: float


@dataclass(frozen=True)
class Device:
    """One login that has begun. Its repr shows no code.

    Attributes:
        code: What we ask with whether the person is done.
        user_code: What they see, or type.
        url: Where they go.
        seconds: How long that may take.
        interval: Seconds from one question to the next.
    """

    code: str = field(repr=False)
    user_code: str = field(repr=False)
    url: str
    seconds: float
    interval: float


@dataclass(frozen=True)
class Tokens:
    """What a login, or a refresh, brings. Its repr shows no token.

    Attributes:
        access: Gives credentials of a role.
        life: Of that, in seconds.
        refresh: Gives another; empty where there is none.
    """

    access: str = field(repr=False)
    life: float
    refresh: str = field(repr=False)


def registered(what: str, answer: object) -> Registered:
    """Return what RegisterClient gives.

    Args:
        what: Was being done, for messages.
        answer: As botocore has read it.

    Raises:
        ServerDown: It has no such thing.
    """
    name, secret = _texts(what, answer, "clientId", "clientSecret")
    return Registered(name, secret, float(number(answer, "clientSecretExpiresAt") or 0))


def device(what: str, answer: object) -> Device:
    """Return what StartDeviceAuthorization gives; as `registered`.

    Raises:
        ServerDown: As `registered`; or a person could not type the code, or should not go there.
    """
    (code,), user_code = _texts(what, answer, "deviceCode"), text(answer, "userCode")
    url = text(answer, "verificationUriComplete") or text(answer, "verificationUri")
    if not is_key(user_code) or len(user_code) > _LONGEST_CODE:
        raise ServerDown(f"{what}: the code in the answer is one that nobody could type")
    try:
        check_url(f"{what}: the page in the answer", url)
    except ConfigError as error:
        fault = ServerDown(error.message)
    else:
        seconds = _seconds(answer, "expiresIn", _SECONDS)
        return Device(code, user_code, url, seconds, _seconds(answer, "interval", _INTERVAL))
    raise fault


def tokens(what: str, answer: object) -> Tokens:
    """Return what CreateToken gives; as `registered`."""
    (access,) = _texts(what, answer, "accessToken")
    return Tokens(access, _seconds(answer, "expiresIn", 0.0), text(answer, "refreshToken"))


def keys_of(what: str, answer: object, clocks: Clocks) -> Keys:
    """Return what GetRoleCredentials gives; as `registered`.

    Args:
        what: Was being done, for messages.
        answer: As botocore has read it.
        clocks: What time it is.

    Raises:
        ServerDown: There are no credentials in it, or they are over.
    """
    found = part(answer, "roleCredentials")
    access, secret, token = _texts(what, found, "accessKeyId", "secretAccessKey", "sessionToken")
    sent = sent_at(part(answer, "ResponseMetadata", "HTTPHeaders").get("date"))
    now = clocks.wall() if sent is None else sent
    left = (number(found, "expiration") or 0) / _MILLISECONDS - now
    if left <= 0:
        raise ServerDown(f"{what}: the credentials in the answer are over")
    return Keys(access, secret, token, clocks.boot() + left)


def _texts(what: str, answer: object, *keys: str) -> list[str]:
    found = [text(answer, key) for key in keys]
    # One with a line end or half a character cannot be sent, and would be an error of ours.
    missing = [key for key, each in zip(keys, found, strict=True) if not is_key(each)]
    if missing:
        raise ServerDown(f"{what}: the answer has no {missing[0]}")
    return found


def _seconds(answer: object, key: str, default: float) -> float:
    found = number(answer, key)
    return default if found is None or not 1 <= found < 2**31 else float(found)
