"""Are there real keys around, and is the project of this folder in order? Names only."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping

from brokerctl import dotenv, project
from brokerctl.checks.check import Check
from brokerctl.keys import is_real_key
from brokerctl.replies import field, mapping, pages
from brokershim.client import Client
from brokershim.errors import Locked

_MOVE = (
    "store it with `brokerctl secret set` (credentials of AWS are leased instead: docs/aws.md), "
    "take it out, and make a new one at the provider"
)


def environment(environ: Mapping[str, str]) -> Iterator[Check]:
    """Look for real keys in the environment."""
    names = sorted(name for name, value in environ.items() if is_real_key(name, value))
    if names:
        hint = f"{_MOVE}; `brokerctl run` does not pass it on"
        yield Check("environment", "warn", f"real keys in {', '.join(names)}", hint)
    else:
        yield Check("environment", "ok", "no real key")


def dotenv_file(folder: str) -> Iterator[Check]:
    """Look for real keys in a .env.

    Apps load it by themselves (python-dotenv, and LiteLLM at import), past `brokerctl run`: a
    variable that refers to a secret already is not overridden, and every other one is read.
    """
    names = dotenv.real_keys(folder)
    path = os.path.join(folder, ".env")
    if names:
        detail = f"{path} holds what looks like keys: {', '.join(names)}; apps load it themselves"
        yield Check(".env", "warn", detail, _MOVE)
    else:
        yield Check(".env", "ok", f"no real key in {path}" if os.path.exists(path) else "none here")


def project_file(client: Client | None) -> Iterator[Check]:
    """Look at the broker.toml that applies here, and whether what it names exists."""
    path = project.find()
    if path is None:
        yield Check("project", "ok", "no broker.toml here")
    elif client is None:
        yield Check("project", "ok", path)
    else:
        facts = client.call("project.show", path=path)
        yield _trust(path, field(facts, "state", str))
        try:
            yield from _missing(client, set(mapping(facts, "env").values()))
        except Locked as problem:
            yield Check("secrets", "warn", f"not looked at: {problem.message}", problem.hint)


def _trust(path: str, state: str) -> Check:
    if state == "allowed":
        return Check("project", "ok", f"{path} is allowed")
    return Check("project", "warn", f"{path} is {state}", "read it, then run `brokerctl allow`")


def _missing(client: Client, asked: set[str]) -> Iterator[Check]:
    stored = {field(row, "name", str) for row in pages(client, "secret.list", "secrets")}
    for name in sorted(asked - stored):
        hint = f"store it with `brokerctl secret set {name}`"
        yield Check("secrets", "fail", f"{name} is in broker.toml and not stored", hint)
