"""Does a daemon run, of our version, with its store and its protection in order?"""

from __future__ import annotations

from collections.abc import Iterator

from brokerctl import stale
from brokerctl.checks.check import Check
from brokerctl.commands.status import describe_store
from brokerctl.replies import field, table, texts
from brokershim import __version__
from brokershim.client import Client

_WITHOUT = "started when it is needed; or now, with `brokerctl daemon start`"


def daemon(client: Client | None) -> Iterator[Check]:
    """Look at what the daemon says of itself."""
    if client is None:
        yield Check("daemon", "warn", "none runs, so not everything was looked at", _WITHOUT)
        return
    status = client.call("daemon.status")
    yield _version(field(status, "version", str))
    yield _store(table(status, "store"))
    yield Check("protection", "ok", ", ".join(texts(status, "protection")))
    if stale.is_stale(status):
        yield Check("config", "warn", stale.CHANGED, stale.REMEDY)
    error = table(status, "policy").get("error")
    if error is not None:
        yield Check("policy", "fail", f"nothing is granted: {error}", "correct policy.toml")


def _version(running: str) -> Check:
    if running == __version__:
        return Check("daemon", "ok", f"runs, version {running}")
    detail = f"version {running} runs, and this command is version {__version__}"
    return Check("daemon", "fail", detail, "restart it: `brokerctl daemon stop`")


def _store(store: dict[str, object]) -> Check:
    detail = describe_store(store)
    if store.get("damaged"):
        return Check("store", "fail", detail, "put back a good copy of the file")
    if store.get("exists") and store.get("locked"):
        return Check("store", "warn", detail, "open it with `brokerctl unlock`")
    return Check("store", "ok", detail)
