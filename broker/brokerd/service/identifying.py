"""identity.* and login.*: who this person or machine is, and how a person logs in."""

from __future__ import annotations

from typing import Any, get_args

from brokerd.identities.base import Mode, PersonalAccount, Standing, is_asking
from brokerd.service.paging import page
from brokerd.service.parts import Caller, Parts
from brokerd.standings import is_personal
from brokershim.errors import (
    BackendUnavailable,
    InvalidParams,
    PeerGone,
    ServerDown,
    UsageError,
)

_LONGEST_WAIT = 20.0
_SHOWN = 256
"""Characters of what a provider says of itself, or of somebody: a page still fits a line."""


class Identifying:
    """Tells of the identities, and lets a person log in and out."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def list_all(self, caller: Caller, *, after: str | None = None) -> dict[str, Any]:
        """Return one page of the identities, by name, and how each stands."""
        del caller
        standings = self._parts.standings
        names = [name for name in standings.names if after is None or name > after]
        found = await standings.of_all(names)
        return page("identities", found, lambda name: self._row(name, found[name]), str)

    async def begin(self, caller: Caller, *, identity: str, mode: str) -> dict[str, Any]:
        """Begin a login, and say where the person goes on."""
        chosen: Mode | None = next((each for each in get_args(Mode) if each == mode), None)
        if chosen is None:
            raise InvalidParams(f"mode is none of {', '.join(get_args(Mode))}")
        found, pid = self._personal(identity), caller.peer.pid
        if not caller.open:  # what ends with its connection would not end
            raise PeerGone(f"process {pid} has ended")
        number, login = await self._parts.logins.begin(found, chosen, caller.number, pid)
        return {
            "login": number,
            "url": login.url,
            "user_code": login.user_code,
            "asks": login.asks if is_asking(login) else None,
            "seconds": login.seconds,
        }

    async def wait(self, caller: Caller, *, login: str, seconds: float) -> dict[str, Any]:
        """Wait a while for the end of a login that this connection began."""
        if not 0 <= seconds <= _LONGEST_WAIT:
            raise InvalidParams(f"seconds is not between 0 and {_LONGEST_WAIT:.0f}")
        standing = await self._parts.logins.wait(login, caller.number, seconds)
        return {"done": False} if standing is None else {"done": True, **facts(standing)}

    async def answer(self, caller: Caller, *, login: str, value: str) -> dict[str, Any]:
        """Take what the person typed for a login that this connection began."""
        self._parts.logins.answer(login, caller.number, value)
        return {}

    async def cancel(self, caller: Caller, *, login: str) -> dict[str, Any]:
        """Give up a login that this connection began."""
        await self._parts.logins.cancel(login, caller.number)
        return {}

    async def logout(self, caller: Caller, *, identity: str) -> dict[str, Any]:
        """Forget a login, here and at the provider; say whether there was one."""
        found = self._personal(identity)
        before = await self._parts.standings.of(identity)
        failure = await self._forget(found)
        await self._parts.audit.record(
            "identity.logged_out",
            identity=identity,
            subject=before.subject,
            issuer=before.issuer,
            pid=caller.peer.pid,
            provider_told=failure is None,
        )
        if failure is not None:
            raise ServerDown(
                f"this machine has forgotten the login, but {failure.message}",
                hint="end it on the provider's own page",
            )
        return {"was_logged_in": before.state != "login" or bool(before.subject)}

    async def _forget(self, identity: PersonalAccount) -> BackendUnavailable | None:
        """Log out; return why the provider could not be told, where that is all that failed."""
        try:
            await self._parts.blocking.run(f"identity {identity.name}", identity.logout)
        except BackendUnavailable as error:
            # It may be the keyring's, too: then nothing is forgotten.
            if (await self._parts.standings.of(identity.name)).state != "login":
                raise
            return error
        return None

    def _personal(self, name: str) -> PersonalAccount:
        standings = self._parts.standings
        if name in self._parts.backends and name not in standings.names:
            raise UsageError(
                f"nobody logs in to backend {name}: it does so by itself",
                hint="`brokerctl backend list` shows how",
            )
        found = standings.get(name)
        if not is_personal(found):
            raise UsageError(
                f"identity {name} is of kind {found.kind}, which needs no login",
                hint=f"`brokerctl whoami {name}` says how it stands",
            )
        return found

    def _row(self, name: str, standing: Standing) -> dict[str, Any]:
        identity = self._parts.standings.get(name)
        return {
            "name": name,
            "kind": identity.kind,
            "personal": is_personal(identity),
            **facts(standing),
        }


def facts(standing: Standing) -> dict[str, Any]:
    """Return how something stands, as a row of a listing says it."""
    return {
        "state": standing.state,
        "issuer": standing.issuer[:_SHOWN],
        "subject": standing.subject[:_SHOWN],
        "until": standing.until,
        "reason": standing.reason[:_SHOWN],
    }
