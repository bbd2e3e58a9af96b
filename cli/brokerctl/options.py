"""Which options and types of argument do several commands share?"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import click

from brokershim.errors import UsageError
from brokershim.reference import check_name

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

_COMPLETION_SECONDS = 0.5
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
lines_option = click.option(
    "-n", "count", type=click.IntRange(min=1), default=50, show_default=True, help="How many."
)


class _Name(click.ParamType[Any]):
    """A name that the running daemon can list; none is started only to complete a name."""

    def __init__(self, name: str, method: str, rows: str, key: str) -> None:
        self.name = name
        self._method = method
        self._rows = rows
        self._key = key

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        del ctx, param
        from click.shell_completion import CompletionItem

        from brokerctl.replies import pages
        from brokershim.client import Client
        from brokershim.errors import BrokerError

        try:
            client = Client(timeout=_COMPLETION_SECONDS)
            rows = list(pages(client, self._method, self._rows))
        except BrokerError:
            return []
        names = (str(row.get(self._key, "")) for row in rows)
        return [CompletionItem(each) for each in names if each.startswith(incomplete)]


class _SecretName(_Name):
    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        del param, ctx
        return check_name(str(value))


class _Binding(click.ParamType[Any]):
    """``VARIABLE=secret/name``. No message repeats it: it may be ``VARIABLE=the key``."""

    name = "variable=secret"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, str]:
        del param, ctx
        variable, equals, secret = str(value).partition("=")
        if not equals or not _VARIABLE.fullmatch(variable):
            raise UsageError(
                "not of the form VARIABLE=SECRET", hint="such as OPENAI_API_KEY=openai/dev"
            )
        return variable, check_name(secret)


class _Duration(click.ParamType[Any]):
    """A time such as ``90``, ``90s``, ``15m`` or ``1h``, in seconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        del param, ctx
        from brokerd.duration import seconds

        return seconds(str(value))


SECRET = _SecretName("secret", "secret.list", "secrets", "name")
LEASE = _Name("lease", "lease.list", "leases", "lease")
BACKEND = _Name("name", "backend.list", "backends", "name")
IDENTITY = _Name("name", "identity.list", "identities", "name")
BINDING = _Binding()
DURATION = _Duration()


def bindings(pairs: tuple[tuple[str, str], ...]) -> dict[str, str]:
    """Return VARIABLE=SECRET pairs as a mapping.

    Raises:
        UsageError: A variable is named twice.
    """
    found = dict(pairs)
    if len(found) != len(pairs):
        raise UsageError("a variable is named twice", hint="name each variable once")
    return found


def refuse_values(misplaced: tuple[str, ...], command: str) -> None:
    """Refuse values on the command line, for a command that asks for one unseen.

    Args:
        misplaced: What stands there.
        command: What to type instead.

    Raises:
        UsageError: There is any; the message does not repeat it.
    """
    if misplaced:
        raise UsageError(
            "a secret's value is not taken from the command line",
            hint="it shows in the process list and the shell's history: make a new key, then "
            f"type it when `{command}` asks",
        )
