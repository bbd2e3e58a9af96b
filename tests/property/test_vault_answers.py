"""Whatever a Vault answers: only errors of ours come of it, and never the token that it got."""

from __future__ import annotations

import contextlib
import http.client
import itertools
import json
import traceback
from collections.abc import Callable
from typing import Any
from unittest import mock

from hypothesis import given, settings
from hypothesis import strategies as st

from brokerd.backends.vault.backend import VaultBackend
from brokerd.backends.vault.client import Vault
from brokerd.backends.vault.login.base import Auth
from brokerd.backends.vault.login.proof import prove
from brokerd.backends.vault.login.wrapping import Wrapping
from brokerd.backends.vault.servers import Servers
from brokerd.backends.vault.session import Session
from brokerd.roundtrip import Answer
from brokershim.errors import BrokerError
from tests.support.backends import WHOM
from tests.support.vaulted import read

_TOKEN = "hvs.CAESIJ0123456789abcdefgh"
_LEASE = "db/creds/x/an-id"
_TERMS = {
    "a/static": read("a/static", mount="secret", path="llm", field="key"),
    "a/made": read("a/made", engine="dynamic", path="db/creds/x", field="key"),
}
_VERSION = {"version": 3, "created_time": "2026", "deletion_time": "", "destroyed": False}
_ENDING = ("sys/leases/revoke", "auth/token/revoke-accessor")
_HONEST: dict[str, Any] = {
    "request_id": "1",
    "lease_id": _LEASE,
    "lease_duration": 60,
    "auth": {"client_token": _TOKEN, "accessor": "a", "lease_duration": 600, "renewable": True},
    "data": {
        "path": "secret/",
        "type": "kv",
        "options": {"version": "2"},
        "key": "sk-1",
        "data": {"key": "sk-1"},
        "metadata": _VERSION,
        "current_version": 3,
        "versions": {"3": _VERSION},
        "ttl": 60,
        "creation_path": "auth/approle/role/dev/secret-id",
        "secret/data/llm": ["read"],
        **{path: ["update"] for path in _ENDING},
    },
}
_ODD: st.SearchStrategy[Any] = st.sampled_from(
    [None, "", 0, -1, True, [], {}, 10**400, 1.5, "\ud800", "\x1b]0;x\x07\n", _TOKEN, [None, "x"]]
)
_ERRORS = st.lists(
    st.sampled_from(["internal error", "permission denied", _TOKEN, "a\nb", "sealed"])
)


def _near(value: Any) -> st.SearchStrategy[Any]:
    """Draw something that is like a value, and here and there not."""
    usual = st.just(value)
    if isinstance(value, dict):
        usual = st.fixed_dictionaries(
            {}, optional={key: _near(each) for key, each in value.items()}
        )
    return st.one_of(usual, usual, usual, _ODD)


_STATUS = st.sampled_from([200] * 6 + [204, 307, 400, 403, 404, 405, 412, 429, 472, 500, 501, 503])
_DOCUMENT = st.one_of(
    st.just(_HONEST), _near(_HONEST), st.fixed_dictionaries({"errors": st.one_of(_ERRORS, _ODD)})
)


def _answer(status: int, document: Any) -> Answer:
    return Answer(status, http.client.HTTPMessage(), json.dumps(document).encode())


class _Login:
    kind = "approle"

    def revision(self) -> int:
        return 0

    def login(self, vault: Vault) -> Auth:
        return prove(
            vault, "approle", lambda client: client.write_data("x", data={}), "", lambda: 1
        )


def _acts(backend: VaultBackend, vault: Vault) -> list[Callable[[], object]]:
    wrapping = Wrapping("a secret id", "auth/approle/role/dev/secret-id")
    return [
        lambda: backend.fetch("a/static"),
        lambda: backend.newest("a/static"),
        lambda: backend.prepare("a/made"),
        lambda: backend.make("a/made", "accessor/a", WHOM),
        lambda: backend.renew(f"lease/{_LEASE}", 60),
        lambda: backend.revoke(f"lease/{_LEASE}"),
        lambda: backend.revoke("accessor/of-somebody"),
        lambda: [each.has for each in backend.check()],
        lambda: wrapping.open(vault, "s.wrapping-token-of-it"),
        backend.tend,
        backend.close,
    ]


@settings(max_examples=40)
@given(st.lists(st.builds(_answer, _STATUS, _DOCUMENT), min_size=1, max_size=8))
def test_any_answer_is_one_of_ours_and_shows_no_token(answers: list[Answer]) -> None:
    left = itertools.cycle(answers)
    vault, method = Vault("corp", Servers(("http://127.0.0.1:1",))), _Login()
    backend = VaultBackend("corp", Session(vault, method), method, _TERMS, 30.0)
    with (
        mock.patch("brokerd.roundtrip.RoundTrip.make", side_effect=left),
        mock.patch("time.sleep"),
    ):
        for act in _acts(backend, vault):
            with contextlib.suppress(BrokerError):
                _look(act)


def _look(act: Callable[[], object]) -> None:
    """Do something, and look at the error that it ends in."""
    try:
        act()
    except BrokerError as error:
        told, chained = [error.message, error.hint], error.__context__
        whole = "".join([*told, *traceback.format_exception(error)]) + json.dumps(error.to_wire())
        shows = _TOKEN in whole or not "".join(told).isprintable()
        if shows or not isinstance(chained, BrokerError | None):
            raise AssertionError(told) from None
        raise
