"""How does a person log in where there is no browser? With one elsewhere, and a code (RFC 8628)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from brokerd import http
from brokerd.identities.base import Standing
from brokerd.identities.oidc import endpoint, metadata, ways, words
from brokerd.identities.oidc.clocks import Clocks
from brokerd.identities.oidc.endpoint import Grant
from brokerd.identities.oidc.metadata import Metadata
from brokerd.identities.oidc.patience import Patience
from brokerd.identities.oidc.settings import Settings
from brokershim.errors import (
    BackendTimeout,
    IdentityUnavailable,
    LoginRefused,
    RateLimited,
    ServerDown,
)

GRANT_TYPE = "urn:ietf:params:oauth:grant-type:device_code"
_INTERVAL_SECONDS = 5.0
_SECONDS = 900.0
_LONGEST_CODE = 40
_OK = 200


class DeviceLogin:
    """One login that waits for a person at another screen.

    Args:
        settings: Who the provider is, and who we are to it.
        found: Where it is asked.
        begin: Takes in what the login brings.
        over: Called once, when it is over.
        clocks: What time it is.

    Raises:
        IdentityUnavailable: The provider does not offer this.
        ServerDown: It cannot be reached, or its answer is none.
    """

    def __init__(
        self,
        settings: Settings,
        found: Metadata,
        begin: ways.Begin,
        over: Callable[[], None],
        clocks: Clocks,
    ) -> None:
        self._settings, self._metadata, self._begin = settings, found, begin
        document = self._asked()
        self._code = self._text(document, "device_code")
        self.user_code: str | None = self._shown_code(document)
        self.url = self._address(document)
        seconds = _seconds(document, "expires_in", _SECONDS)
        interval = _seconds(document, "interval", _INTERVAL_SECONDS)
        self._patience = Patience(seconds, interval, over, clocks)
        self.seconds = self._patience.seconds

    def run(self) -> Standing:
        """Ask the provider, again and again, whether the person is done. Raises as `Login.run`."""
        waits = self._patience
        return waits.run(self._poll, lambda grant: self._begin(grant, None, waits.given_up))

    def cancel(self) -> None:
        """Give it up."""
        self._patience.cancel()

    def _poll(self) -> Grant | None:
        """Ask once (RFC 8628, section 3.5); None where the person is not done."""
        form = {
            "grant_type": GRANT_TYPE,
            "device_code": self._code,
            "client_id": self._settings.client_id,
        }
        try:
            answer = endpoint.ask(self._metadata.token, form)
        except RateLimited as error:
            self._patience.slower(error.details.get("retry_after"))
            return None
        except BackendTimeout:
            self._patience.slower(2 * self._patience.interval)
            return None
        if isinstance(answer, Grant):
            return answer
        if answer.code == "slow_down":
            self._patience.slower()
        elif answer.code != "authorization_pending":
            raise LoginRefused(f"the provider refuses the login: {answer.said}")
        return None

    def _asked(self) -> Mapping[str, Any]:
        """Return the provider's answer to a device that wants in (RFC 8628, section 3.2)."""
        issuer, url = self._settings.issuer, self._metadata.device
        if url is None:
            raise IdentityUnavailable(
                f"{issuer} offers no login with a code", hint="log in with a browser instead"
            )
        reply = http.post_form(url, self._question())
        document = reply.document()
        if reply.status == _OK:
            return document
        if words.code_of(document):
            raise IdentityUnavailable(
                f"{issuer} gives no code: {words.said(document)}",
                hint="see that it knows this client_id, and lets it use the device flow",
            )
        raise ServerDown(f"{issuer} answers status {reply.status} where it should give a code")

    def _question(self) -> list[tuple[str, str]]:
        return [
            ("client_id", self._settings.client_id),
            ("scope", " ".join(self._settings.wanted(self._metadata.scopes))),
            *(("resource", each) for each in self._settings.resources),
        ]

    def _address(self, document: Mapping[str, Any]) -> str:
        """Return where the person goes: it is shown, and opened, so it has to be an address."""
        url = document.get("verification_uri_complete") or document.get("verification_uri")
        return metadata.check_endpoint(self._settings.issuer, "verification_uri", url)

    def _shown_code(self, document: Mapping[str, Any]) -> str:
        code = self._text(document, "user_code")
        if len(code) > _LONGEST_CODE or not (code.isprintable() and code.isascii()):
            raise ServerDown(f"{self._settings.issuer} gives a code that nobody could type")
        return code

    def _text(self, document: Mapping[str, Any], key: str) -> str:
        found: object = document.get(key)
        if not isinstance(found, str) or not found:
            raise ServerDown(f"{self._settings.issuer} gives no {key}")
        return found


def _seconds(document: Mapping[str, Any], key: str, default: float) -> float:
    found: object = document.get(key)
    if isinstance(found, bool) or not isinstance(found, (int, float)):
        return default
    return float(found) if 1 <= found < 2**31 else default
