"""Who has typed a code for the roles of a profile, and until when is it good?

What comes of it is a session of a role, and stands in memory only: it ends by itself within hours.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from brokerd.backends.aws.assumed import keys_of, session_name, user
from brokerd.backends.aws.clients import Clients
from brokerd.backends.aws.faults import translated
from brokerd.backends.aws.login.base import Keys
from brokerd.backends.aws.login.mfa import CodeLogin
from brokerd.backends.aws.login.plan import Plan, Role
from brokerd.identities.base import Login, Mode, Standing
from brokerd.identities.oidc import ways
from brokerd.identities.oidc.clocks import Clocks
from brokerd.identities.oidc.standing import IN_MEMORY, of_left
from brokerd.identities.oidc.turn import Turn
from brokerd.identities.reasons import reason_of
from brokershim.errors import BackendRefused, BrokerError, LoginRefused, LoginRequired, UsageError


@dataclass(frozen=True)
class _Session:
    plan: Plan
    keys: Keys
    life: float


class Coded:
    """A person's login to a profile: what `brokerctl login` and `logout` go to.

    Attributes:
        revision: Changes with every login and its end.

    Args:
        profile: Its name.
        plan: Reads what it comes to.
        clients: Asks STS; their name is the account's.
        clocks: What time it is.
    """

    kind = "aws"

    def __init__(
        self, profile: str, plan: Callable[[], Plan], clients: Clients, clocks: Clocks
    ) -> None:
        self.name, self.revision = clients.name, 0
        self._where, self._plan = f"profile {profile}", plan
        self._clients, self._clocks = clients, clocks
        self._lock, self._turn = threading.Lock(), Turn(clients.name, clocks)
        self._session: _Session | None = None

    def standing(self) -> Standing:
        """Return how it stands, without asking AWS."""
        try:
            plan = self._plan()
        except BrokerError as error:
            return Standing("failed", self._where, reason=reason_of(error))
        if plan.asking is None:
            return Standing("ready", self._where, plan.roles[-1].arn if plan.roles else "")
        session = self._of(plan)
        if session is None:
            return Standing("login", self._where, reason="its role asks for an MFA code")
        left = (session.keys.expires_at or 0.0) - self._clocks.boot()
        return of_left(self._where, session.keys.arn, left, session.life, IN_MEMORY)

    def login(self, mode: Mode) -> Login:
        """Begin a login; there is one way, without any browser.

        Raises:
            UsageError: The profile wants no code.
            LoginUnderWay: One has begun, and is not over.
            BrokerError: What the files of profiles are.
        """
        del mode
        plan = self._plan()
        serial = None if plan.asking is None else plan.roles[plan.asking].mfa_serial
        if serial is None:
            raise self._no_code()
        take = partial(self._take, plan)
        return self._turn.take(lambda over: CodeLogin(serial, take, over, self._clocks))

    def logout(self) -> None:
        """Forget the session; AWS has no way to end one.

        Raises:
            UsageError: The profile wants no code.
            BrokerError: What the files of profiles are.
        """
        with self._lock:
            before, self._session = self._session, None
            self.revision += 1
        if before is None and self._plan().asking is None:
            raise self._no_code()

    def keys(self) -> Keys:
        """Return credentials of the profile's last role.

        Raises:
            LoginRequired: A person has to type a code first.
            BrokerError: What the files of profiles are, and what AWS says.
        """
        plan = self._plan()
        if plan.asking is None:
            return self._through(plan.keys, plan.roles)
        session = self._of(plan)
        if session is None or (session.keys.expires_at or 0.0) <= self._clocks.boot():
            raise LoginRequired(
                f"{self._where} asks for an MFA code",
                hint=f"run `brokerctl login {self.name}` in a terminal",
            )
        return self._through(session.keys, plan.roles[plan.asking + 1 :])

    def _of(self, plan: Plan) -> _Session | None:
        """Return the session, where it is of what the profile comes to now."""
        session = self._session
        return session if session is not None and session.plan == plan else None

    def _take(self, plan: Plan, code: str, given_up: threading.Event) -> Standing:
        asked_at = self._clocks.boot()
        keys = self._proved(plan, plan.asking or 0, code)
        life = (keys.expires_at or asked_at) - asked_at
        with self._lock:
            if given_up.is_set():
                raise ways.given_up()
            self._session = _Session(plan, keys, life)
            self.revision += 1
        return self.standing()

    def _proved(self, plan: Plan, number: int, code: str) -> Keys:
        before = self._through(plan.keys, plan.roles[:number])
        try:
            return self._assumed(before, plan.roles[number], code)
        except BackendRefused as error:
            refused = error.message
        raise LoginRefused(
            refused, hint="a code works once: wait for the next; or see the role's trust policy"
        )

    def _through(self, keys: Keys, roles: tuple[Role, ...]) -> Keys:
        for each in roles:
            keys = self._assumed(keys, each)
        return keys

    def _assumed(self, keys: Keys, role: Role, code: str | None = None) -> Keys:
        what = f"taking on {role.arn}"
        asked = {
            "RoleArn": role.arn,
            "RoleSessionName": role.session_name or session_name(self.name, user()),
            "DurationSeconds": int(self._clients.settings.duration),
            "ExternalId": role.external_id,
            "SerialNumber": role.mfa_serial,
            "TokenCode": code,
        }
        given = {name: value for name, value in asked.items() if value is not None}
        with translated(what, secrets=(code or "",)):
            answer: object = self._clients.client("sts", keys).assume_role(**given)
        return keys_of(what, answer, self._clocks.boot, self._clocks.wall)

    def _no_code(self) -> UsageError:
        return UsageError(
            f"{self._where} asks for no MFA code, so nobody logs in to it",
            hint=f"`brokerctl whoami {self.name}` says how it stands",
        )
