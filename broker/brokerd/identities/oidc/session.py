"""Who is logged in, and how do they get newer tokens? (RFC 6749, section 6.)"""

from __future__ import annotations

import threading
from dataclasses import replace

from brokerd.identities.base import Standing, Token
from brokerd.identities.oidc import endpoint, standing
from brokerd.identities.oidc.clocks import Clocks
from brokerd.identities.oidc.endpoint import Grant, Refusal
from brokerd.identities.oidc.giving_back import give_back_spare
from brokerd.identities.oidc.keeping import Keeper, Kept
from brokerd.identities.oidc.provider import Provider
from brokerd.identities.oidc.settings import Settings
from brokerd.identities.oidc.verify import Person, Verifier
from brokerd.identities.reasons import reason_of
from brokershim.errors import (
    BackendUnavailable,
    BrokerError,
    IdentityUnavailable,
    KeyringUnavailable,
    LoginRefused,
    LoginRequired,
    ServerDown,
)

_TEMPORARY = ("temporarily_unavailable", "server_error", "slow_down")


class Session:
    """One person's login, refreshed by one thread at a time.

    Attributes:
        revision: Changes with every login and its end.

    Args:
        settings: Who the provider is, and who we are to it.
        provider: Says where it is asked.
        verifier: Checks what it answers.
        keeper: Where the login stands.
        clocks: What time it is.
    """

    def __init__(
        self,
        settings: Settings,
        provider: Provider,
        verifier: Verifier,
        keeper: Keeper,
        clocks: Clocks,
    ) -> None:
        self.revision = 0
        self._settings, self._provider, self._clocks = settings, provider, clocks
        self._verifier, self._keeper = verifier, keeper
        self._lock = threading.Lock()
        self._alone: Person | None = None  # a login without a refresh token
        self._unsaved: Kept | None = None  # what the keyring did not take, though the old is spent

    def begin(self, grant: Grant, nonce: str | None, given_up: threading.Event) -> Standing:
        """Take in what a login brought; whoever was logged in before is not any more.

        Raises:
            LoginRefused: It proves nothing, or was given up meanwhile.
            ClockSkew: This machine's clock is off.
            KeyringUnavailable: The keyring does not keep it.
        """
        person: Person | None = None
        try:
            person = self._verifier.person(grant, nonce, LoginRefused)
            before, now = self._take_in(person, grant, given_up)
        except BrokerError:
            self._undo(person, grant)
            raise
        if before is not None:
            self._leave(before.refresh_token, before.subject, now)
        return self.standing()

    def token(self, audience: str | None) -> Token:
        """Return a token for an audience, as new as it can be had. Raises as the identity."""
        with self._lock:
            kept = self._current()
            if kept is None:
                return self._served(audience)
            form = {"grant_type": "refresh_token", "refresh_token": kept.refresh_token}
            if audience is not None:
                form["resource"] = audience
            form["client_id"] = self._settings.client_id
            answer = endpoint.ask(self._provider.metadata().token, form)
            if isinstance(answer, Refusal):
                raise self._refused(answer, audience)
            self._rotate(kept, answer)
        if audience is not None:
            return self._for_resource(answer, audience)
        return self._for_us(answer, kept)

    def end(self) -> str | None:
        """Forget the login; return its refresh token, which the provider is still to be told of.

        Raises:
            KeyringUnavailable: The keyring refuses.
        """
        with self._lock:
            unsaved, self._alone, self._unsaved = self._unsaved, None, None
            self.revision += 1
            kept = unsaved or self._keeper.load()
            self._keeper.drop()
        return None if kept is None else kept.refresh_token

    def standing(self) -> Standing:
        """Return how the login stands, without asking the provider."""
        try:
            kept, alone = self._unsaved or self._keeper.load(), self._alone
        except KeyringUnavailable as error:
            return Standing("failed", self._settings.issuer, reason=reason_of(error))
        if kept is not None:
            return standing.of_kept(self._settings, kept, self._clocks.wall())
        return standing.of_alone(self._settings, alone, self._clocks.boot())

    def _take_in(
        self, person: Person, grant: Grant, given_up: threading.Event
    ) -> tuple[Kept | None, Kept | None]:
        """Put a login in the place of the one before; return that, and what is kept of this."""
        with self._lock:
            if given_up.is_set():
                raise LoginRefused("the login was given up")
            before, now = self._unsaved or self._keeper.load(), self._kept(person, grant)
            if now is None:
                self._keeper.drop()
            else:
                self._keeper.save(now)
            self._alone = person if now is None else None
            self._unsaved = None
            self.revision += 1
        return before, now

    def _undo(self, person: Person | None, grant: Grant) -> None:
        """Give back what a login brought that came to nothing; who was logged in stays so."""
        if grant.refresh_token is None:
            return
        try:
            stays = self._unsaved or self._keeper.load()
        except BackendUnavailable:
            return  # it may be what goes on
        subject = None if person is None else person.token.subject
        self._leave(grant.refresh_token, subject, stays)

    def _leave(self, refresh_token: str, subject: str | None, stays: Kept | None) -> None:
        client_id = self._settings.client_id
        give_back_spare(self._provider, client_id, refresh_token, subject, stays)

    def _current(self) -> Kept | None:
        """Return the login; what the keyring did not take before is offered to it again."""
        if self._unsaved is not None:
            self._save(self._unsaved)
        return self._keeper.load()

    def _served(self, audience: str | None) -> Token:
        """Return the ID token of a login that has nothing else, while that lives."""
        issuer, name = self._settings.issuer, self._settings.name
        login = f"run `brokerctl login {name}` in a terminal"
        if self._alone is None or self._alone.token.expires_at <= self._clocks.boot():
            raise LoginRequired(f"nobody is logged in to {name} ({issuer})", hint=login)
        if audience is not None:
            raise IdentityUnavailable(
                f"{issuer} granted no refresh token, so there is none for {audience}",
                hint=f"let it grant offline_access to {self._settings.client_id}, then {login}",
            )
        return self._alone.token

    def _rotate(self, kept: Kept, answer: Grant) -> None:
        """Keep what is new before anything else is done with the answer."""
        if answer.refresh_token is None and answer.refresh_life is None:
            return
        newer = replace(
            kept,
            refresh_token=answer.refresh_token or kept.refresh_token,
            until=self._until(answer.refresh_life),
            life=answer.refresh_life,
        )
        self._save(newer)

    def _save(self, kept: Kept) -> None:
        self._unsaved = kept
        self._keeper.save(kept)
        self._unsaved = None

    def _refused(
        self, answer: Refusal, audience: str | None
    ) -> LoginRequired | IdentityUnavailable | ServerDown:
        issuer, name = self._settings.issuer, self._settings.name
        if answer.code == "invalid_grant":
            self._forget()
            return LoginRequired(
                f"the login to {name} is over: {issuer} says {answer.said}",
                hint=f"run `brokerctl login {name}` in a terminal",
            )
        if answer.code == "invalid_target" and audience is not None:
            return self._no_such_audience(audience, answer.said)
        if answer.code in _TEMPORARY:
            return ServerDown(f"{issuer} says {answer.said}")
        return IdentityUnavailable(
            f"{issuer} gives {self._settings.client_id} no token: {answer.said}",
            hint="see how this client is registered there",
        )

    def _for_us(self, answer: Grant, kept: Kept) -> Token:
        issuer, name = self._settings.issuer, self._settings.name
        if answer.id_token is None:  # OpenID Connect Core 1.0, section 12.2, allows it
            raise IdentityUnavailable(
                f"{issuer} gives no ID token when it refreshes a login",
                hint=f"if it issues JWT access tokens (RFC 9068), name an audience under resources "
                f"in [identity.{name}] and at the backend, and log in again",
            )
        person = self._verifier.person(answer, None, ServerDown)
        if person.token.subject != kept.subject:
            raise ServerDown(f"{issuer} gives the token of somebody else")
        return person.token

    def _for_resource(self, answer: Grant, audience: str) -> Token:
        if (answer.access_token or "").count(".") != 2:  # noqa: PLR2004  (RFC 7519, section 3)
            raise self._no_such_audience(audience, "its access token is no JWT")
        return self._verifier.access_token(answer, audience, ServerDown)

    def _no_such_audience(self, audience: str, why: str) -> IdentityUnavailable:
        return IdentityUnavailable(
            f"{self._settings.issuer} gives no token for {audience}: {why}",
            hint=f"name it under resources in [identity.{self._settings.name}] and log in again; "
            "the provider has to issue JWT access tokens (RFC 9068) for that resource (RFC 8707)",
        )

    def _forget(self) -> None:
        self._alone = self._unsaved = None
        self.revision += 1
        self._keeper.drop()

    def _kept(self, person: Person, grant: Grant) -> Kept | None:
        """Return what is kept of a login; None where it brought nothing that lasts."""
        if grant.refresh_token is None:
            return None
        life = grant.refresh_life
        until = self._until(life)
        return Kept(person.token.subject, person.shown, grant.refresh_token, until, life)

    def _until(self, life: float | None) -> float | None:
        return None if life is None else self._clocks.wall() + life
