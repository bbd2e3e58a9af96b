"""Which method of the wire is which verb, and what parameters does it take?

A verb's keyword parameters are its schema: their names, their types, and which have a default.
Anything else in a request is refused.
"""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

from brokerd.service.backing import Backing
from brokerd.service.control import Control, Facts
from brokerd.service.identifying import Identifying
from brokerd.service.leasing import Leasing
from brokerd.service.opening import Opening
from brokerd.service.parts import Caller, Parts
from brokerd.service.revoking import Revoking
from brokerd.service.rotating import Rotating
from brokerd.service.storing import Storing
from brokerd.service.trusting import Trusting
from brokershim.errors import InvalidParams, UnknownMethod

_HUGE = 2**53
_Verb = Callable[..., Awaitable[dict[str, Any]]]


@dataclass(frozen=True)
class _Method:
    verb: _Verb
    required: frozenset[str]
    types: Mapping[str, Any]


class Verbs:
    """All methods of docs/protocol.md but `hello`, which the connection itself answers.

    Args:
        parts: What the verbs work with.
        facts: What `daemon.status` tells besides.
        opening: The verbs of sessions; the daemon ends sessions with it, too.
    """

    def __init__(self, parts: Parts, facts: Facts, opening: Opening) -> None:
        control, identifying, leasing = Control(parts, facts), Identifying(parts), Leasing(parts)
        revoking, storing, trusting = Revoking(parts), Storing(parts), Trusting(parts)
        backing, rotating = Backing(parts), Rotating(parts)
        verbs: dict[str, _Verb] = {
            "daemon.status": control.status,
            "daemon.stop": control.stop,
            "audit.head": control.head,
            "backend.list": backing.list_all,
            "backend.check": backing.check,
            "backend.enrol": backing.enrol,
            "identity.list": identifying.list_all,
            "identity.logout": identifying.logout,
            "login.begin": identifying.begin,
            "login.wait": identifying.wait,
            "login.answer": identifying.answer,
            "login.cancel": identifying.cancel,
            "lease.acquire": leasing.acquire,
            "lease.renew": leasing.renew,
            "lease.report": leasing.report,
            "lease.release": leasing.release,
            "lease.revoke": revoking.revoke,
            "lease.list": revoking.list_all,
            "session.open": opening.open,
            "session.approve": opening.approve,
            "session.list": opening.list_all,
            "project.show": trusting.show,
            "project.allow": trusting.allow,
            "secret.set": storing.set,
            "secret.list": storing.list_all,
            "secret.show": storing.show,
            "secret.remove": storing.remove,
            "secret.rollback": storing.rollback,
            "secret.rotate": rotating.rotate,
            "secret.rotation": rotating.rotation,
            "store.unlock": storing.unlock,
            "store.lock": storing.lock,
        }
        self._methods = {name: _method(verb) for name, verb in verbs.items()}

    async def call(self, caller: Caller, name: str, params: Mapping[str, Any]) -> dict[str, Any]:
        """Carry out a request and return its result.

        Raises:
            UnknownMethod: There is no such method.
            InvalidParams: A parameter is missing, unknown, or of the wrong type.
            BrokerError: What the verb says.
        """
        method = self._methods.get(name)
        if method is None:
            raise UnknownMethod(f"no method {name[:64]!r}")
        _check(method, params)
        return await method.verb(caller, **params)


def _method(verb: _Verb) -> _Method:
    parameters = inspect.signature(verb).parameters.values()
    named = [each for each in parameters if each.kind is inspect.Parameter.KEYWORD_ONLY]
    required = frozenset(each.name for each in named if each.default is each.empty)
    hints = typing.get_type_hints(verb)
    return _Method(verb, required, {each.name: hints[each.name] for each in named})


def _check(method: _Method, params: Mapping[str, Any]) -> None:
    missing = method.required - params.keys()
    if missing:
        raise InvalidParams(f"missing: {', '.join(sorted(missing))}")
    for name, value in params.items():
        if name not in method.types:
            raise InvalidParams(f"unknown parameter {name[:64]!r}")
        if not _fits(value, method.types[name]):
            raise InvalidParams(f"{name} has the wrong type")


def _fits(value: Any, wanted: Any) -> bool:
    """Return whether a JSON value is of a type; true is no number, and NUL is in no text."""
    if isinstance(wanted, types.UnionType):
        return any(_fits(value, each) for each in typing.get_args(wanted))
    check = _CHECKS.get(wanted)
    return isinstance(value, wanted) if check is None else check(value)


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and "\0" not in value


def _is_texts(value: Any) -> bool:
    entries = cast("list[object]", value) if isinstance(value, list) else [None]
    return all(_is_text(each) for each in entries)


def _is_mapping(value: Any) -> bool:
    pairs = cast("dict[object, object]", value) if isinstance(value, dict) else {None: None}
    return all(_is_text(key) and _is_text(each) for key, each in pairs.items())


_CHECKS: dict[Any, Callable[[Any], bool]] = {
    str: _is_text,
    int: lambda value: type(value) is int,
    # 1e999 is valid JSON, and reads as infinity; a float holds no number of 400 digits.
    float: lambda value: type(value) in (int, float) and abs(value) < _HUGE,
    list[str]: _is_texts,
    dict[str, str]: _is_mapping,
}
