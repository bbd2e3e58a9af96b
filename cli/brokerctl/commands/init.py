"""`brokerctl init`: write a broker.toml."""

from __future__ import annotations

import os

import click

from brokerctl import dotenv, output
from brokerctl.autostart import connect_or_start
from brokerctl.options import BINDING, bindings
from brokerctl.replies import field, pages
from brokerd.providers import PROVIDERS, provider_of_variable
from brokershim.errors import SecretNotFound, UsageError
from brokershim.paths import PROJECT_FILE

_HEADER = """\
# Which secret stands behind which environment variable, for `brokerctl run` in this folder.
# It holds names and no keys, so it is safe to commit. `brokerctl allow` trusts it.

"""


@click.command()
@click.argument("pairs", nargs=-1, type=BINDING, metavar="[VARIABLE=SECRET]...")
def init(pairs: tuple[tuple[str, str], ...]) -> None:
    """Write a broker.toml here.

    Without arguments it names each stored secret whose provider has a known variable.
    """
    if os.path.lexists(PROJECT_FILE):
        raise _already_there()
    chosen = bindings(pairs) or _from_store()
    _write(PROJECT_FILE, _HEADER + "".join(f'{v} = "{s}"\n' for v, s in sorted(chosen.items())))
    output.result(f"wrote {os.path.abspath(PROJECT_FILE)}:")
    output.facts(dict(sorted(chosen.items())))
    output.note("read it, then run `brokerctl allow`")


def _from_store() -> dict[str, str]:
    """Choose one secret for each provider's variable."""
    rows = list(pages(connect_or_start(), "secret.list", "secrets"))
    by_variable: dict[str, list[str]] = {}
    for row in rows:
        known = PROVIDERS.get(field(row, "provider", str))
        if known is not None:
            by_variable.setdefault(known.variable, []).append(field(row, "name", str))
    _tell_of_dotenv(by_variable)
    if not by_variable:
        raise _nothing_to_write(stored=bool(rows))
    return {variable: _best(variable, names) for variable, names in by_variable.items()}


def _best(variable: str, names: list[str]) -> str:
    first, *others = sorted(names, key=lambda name: (not name.endswith("/dev"), name))
    if others:
        output.note(f"{variable}: took {first}, left out {', '.join(others)}")
    return first


def _tell_of_dotenv(have: dict[str, list[str]]) -> None:
    """Name the keys of a .env that the store could hold instead; never their values."""
    for variable in dotenv.real_keys(os.curdir):
        provider = provider_of_variable(variable)
        if provider is not None and PROVIDERS[provider].variable not in have:
            output.note(
                f".env holds a key in {variable}: store it with "
                f"`brokerctl secret set {provider}/dev`, then take it out of .env"
            )


def _nothing_to_write(*, stored: bool) -> SecretNotFound:
    if stored:
        return SecretNotFound(
            "no stored secret is of a provider with a known variable",
            hint="name the variable: `brokerctl init VARIABLE=SECRET`",
        )
    return SecretNotFound(
        "no secret is stored yet", hint="store one with `brokerctl secret set openai/dev`"
    )


def _already_there() -> UsageError:
    return UsageError(f"there is a {PROJECT_FILE} here already", hint="edit it, or remove it first")


def _write(path: str, text: str) -> None:
    """Write a new file whole or not at all, and never over one that appeared meanwhile."""
    temporary = f"{path}.{os.getpid()}.new"
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
    try:
        with os.fdopen(fd, "w", encoding="utf-8") as file:
            # Whatever the umask is: with 002 the file would be open for its group to change.
            os.fchmod(fd, 0o644)
            file.write(text)
        os.link(temporary, path)
    except FileExistsError:
        raise _already_there() from None
    finally:
        os.unlink(temporary)
