"""What does IAM Identity Center answer? (Its OIDC API and portal API References.)

Its requests are not signed: tokens are what proves something there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any

from brokerd.backends.aws.answers import KeysOver
from brokerd.backends.aws.clients import Clients
from brokerd.backends.aws.faults import translated
from brokerd.backends.aws.login.base import Keys
from brokerd.backends.aws.login.granted import (
    Device,
    Registered,
    Tokens,
    device,
    keys_of,
    registered,
    tokens,
)
from brokerd.backends.reply import part, text
from brokerd.identities.oidc.clocks import Clocks
from brokershim.errors import LoginRefused, NotFound

_DEVICE = "urn:ietf:params:oauth:grant-type:device_code"
_REFRESH = "refresh_token"
_SCOPE = "sso:account:access"
"""With it there is a refresh token."""
_LONGEST_NAME = 64


class Waiting(Enum):
    """What is said of a person who is not done."""

    PENDING = 1
    SLOWER = 2


_UNFINISHED: Mapping[str, Waiting | str] = {
    "AuthorizationPendingException": Waiting.PENDING,
    "SlowDownException": Waiting.SLOWER,
    "AccessDeniedException": "was refused by the person",
    "ExpiredTokenException": "was not finished in time",
}
_OVER: Mapping[str, None] = dict.fromkeys(
    (
        "AccessDeniedException",
        "ExpiredTokenException",
        "InvalidClientException",
        "InvalidGrantException",
        "UnauthorizedClientException",
    )
)


class Portal:
    """One start page of IAM Identity Center.

    Args:
        start_url: Its address, as people know it.
        clients: Asks AWS where that is: in its own region.
        clocks: What time it is.
    """

    def __init__(self, start_url: str, clients: Clients, clocks: Clocks) -> None:
        self.start_url = start_url
        self._clients, self._clocks = clients, clocks

    def register(self) -> Registered:
        """Become somebody there (RegisterClient); raises as `faults.translated`."""
        what = f"registering at {self.start_url}"
        answer = self._asked(
            what,
            lambda oidc: oidc.register_client(
                clientName=f"brokerctl-{self._clients.name}"[:_LONGEST_NAME],
                clientType="public",
                scopes=[_SCOPE],
            ),
        )
        return registered(what, answer)

    def begin(self, us: Registered) -> Device:
        """Begin a login (StartDeviceAuthorization); raises as `faults.translated`."""
        what = f"beginning a login at {self.start_url}"
        answer = self._asked(
            what,
            lambda oidc: oidc.start_device_authorization(
                clientId=us.id, clientSecret=us.secret, startUrl=self.start_url
            ),
            us.secret,
        )
        return device(what, answer)

    def finished(self, us: Registered, begun: Device) -> Tokens | Waiting:
        """Return what a login brings once the person is done (CreateToken).

        Raises:
            LoginRefused: They said no, or took too long.
            BrokerError: As `faults.translated`.
        """
        what = f"the login at {self.start_url}"
        answer = self._token(what, us, _UNFINISHED, grantType=_DEVICE, deviceCode=begun.code)
        if isinstance(answer, Waiting):
            return answer
        if isinstance(answer, str):
            raise LoginRefused(f"{what} {answer}")
        return tokens(what, answer)

    def refreshed(self, us: Registered, refresh_token: str) -> Tokens | None:
        """Return newer tokens (CreateToken); None where the login is over.

        Raises:
            BrokerError: As `faults.translated`.
        """
        what = f"refreshing the login at {self.start_url}"
        answer = self._token(what, us, _OVER, grantType=_REFRESH, refreshToken=refresh_token)
        if answer is None:
            return None
        found = tokens(what, answer)
        return found if found.refresh else Tokens(found.access, found.life, refresh_token)

    def keys(self, access_token: str, account_id: str, role_name: str) -> Keys | None:
        """Return credentials of a role (GetRoleCredentials); None where the token is over.

        Raises:
            BackendRefused: The person does not have that role in that account.
            BrokerError: As `faults.translated`.
        """
        what = f"taking on {role_name} in {account_id}"
        try:
            with translated(what, NotFound, (access_token,)):
                answer: object = self._clients.client("sso").get_role_credentials(
                    accountId=account_id, roleName=role_name, accessToken=access_token
                )
        except KeysOver:
            return None
        return keys_of(what, answer, self._clocks)

    def end(self, access_token: str) -> None:
        """End a login (Logout); one that is over is no error. Raises as `faults.translated`."""
        try:
            with translated(f"logging out at {self.start_url}", secrets=(access_token,)):
                self._clients.client("sso").logout(accessToken=access_token)
        except KeysOver:
            return

    def _token(
        self, what: str, us: Registered, known: Mapping[str, object], **asked: str
    ) -> object:
        """Return what CreateToken answers, or what an error of a known code stands for."""

        def ask(oidc: Any) -> object:
            try:
                return oidc.create_token(clientId=us.id, clientSecret=us.secret, **asked)
            except oidc.exceptions.ClientError as error:
                code = text(part(error.response, "Error"), "Code")
                if code not in known:
                    raise
                return known[code]

        return self._asked(what, ask, us.secret, *asked.values())

    def _asked(self, what: str, ask: Callable[[Any], object], *secrets: str) -> object:
        with translated(what, secrets=secrets):
            return ask(self._clients.client("sso-oidc"))
