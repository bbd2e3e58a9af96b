"""What does a reply of the daemon hold, and is it of the type it should be?"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeVar

from brokershim.client import Client
from brokershim.errors import MalformedRequest

_T = TypeVar("_T")
_LIST: type[list[Any]] = list
_TABLE: type[dict[str, Any]] = dict


def field(reply: Mapping[str, Any], name: str, kind: type[_T]) -> _T:
    """Return one field of a reply.

    Raises:
        MalformedRequest: It is missing, or of another type.
    """
    value = reply.get(name)
    if not isinstance(value, kind):
        raise MalformedRequest(f"the daemon's reply has no usable {name!r}")
    return value


def table(reply: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return a field that is an object.

    Raises:
        MalformedRequest: It is not.
    """
    return field(reply, name, _TABLE)


def items(reply: Mapping[str, Any], name: str) -> list[Any]:
    """Return a field that is a list.

    Raises:
        MalformedRequest: It is not.
    """
    return field(reply, name, _LIST)


def texts(reply: Mapping[str, Any], name: str) -> list[str]:
    """Return a field that is a list of texts.

    Raises:
        MalformedRequest: It is not a list.
    """
    return [str(each) for each in items(reply, name)]


def mapping(reply: Mapping[str, Any], name: str) -> dict[str, str]:
    """Return a field that maps variables to names of secrets.

    Raises:
        MalformedRequest: It does not.
    """
    found = table(reply, name)
    return {variable: field(found, variable, str) for variable in found}


def number(reply: Mapping[str, Any], name: str) -> float:
    """Return a field that is a number.

    Raises:
        MalformedRequest: It is not.
    """
    value = field(reply, name, object)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise MalformedRequest(f"the daemon's reply has no usable {name!r}")
    return value


def pick(reply: Mapping[str, Any], keys: Iterable[str]) -> dict[str, Any]:
    """Return the fields that ``--json`` promises, and no others a newer daemon may add."""
    return {key: reply.get(key) for key in keys}


def pages(client: Client, method: str, key: str, **params: Any) -> Iterator[dict[str, Any]]:
    """Yield every item of a listing that comes in pages.

    Raises:
        BrokerError: What the daemon answered.
    """
    for reply in whole_pages(client, method, **params):
        yield from items(reply, key)


def whole_pages(client: Client, method: str, **params: Any) -> Iterator[dict[str, Any]]:
    """Yield every page of a listing; raises as `pages` does."""
    after: dict[str, Any] = {}
    while True:
        reply = client.call(method, **params, **after)
        yield reply
        if reply.get("next") is None:
            return
        after = {"after": reply["next"]}
