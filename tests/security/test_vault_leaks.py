"""Does a token of Vault come out anywhere, whatever a server does with it?"""

from __future__ import annotations

import json
import logging
import pickle
import socket
import traceback
from typing import Any

import pytest

from brokerd.backends.vault.faults import translated
from brokershim.errors import BrokerError
from tests.support.bare_server import BareServer
from tests.support.vault_client import vault_at

TOKEN = "hvs.CAESIJabcdefghijklmnopqrst"
JWT = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJtZSJ9.c2lnbmF0dXJlLW9mLWl0LWFsbA"
ECHO = f"{TOKEN} and {JWT}"
ERRORS = json.dumps({"errors": [f"got {ECHO}", TOKEN[4:], JWT.split(".")[1]]})


def _answer(status: str, body: str, *headers: str) -> str:
    head = [f"HTTP/1.1 {status}", f"content-length: {len(body)}", *headers]
    return "\r\n".join(head) + "\r\n\r\n" + body


ANSWERS = {
    "a refusal": _answer("400 Bad Request", ERRORS),
    "another": _answer("403 Forbidden", ERRORS),
    "nothing there": _answer("404 Not Found", ERRORS),
    "an odd status": _answer("418 I", ERRORS),
    "a failure": _answer("500 Internal", ERRORS),
    "sealed": _answer("503 Sealed", json.dumps({"errors": [f"Vault is sealed, {ECHO}"]})),
    "a pause": _answer("429 Wait", ERRORS, f"retry-after: {ECHO}"),
    "a redirect": _answer("307 There", "", f"location: http://127.0.0.1/{ECHO}"),
    "a page": _answer("200 OK", f"<html>{ECHO}</html>"),
    "a page that refuses": _answer("403 Forbidden", f"<html>{ECHO}</html>"),
    "a list": _answer("200 OK", json.dumps([ECHO])),
    "errors of another kind": _answer("400 Bad", json.dumps({"errors": {TOKEN: ECHO}})),
    "other fields": _answer("400 Bad", json.dumps({"errors": [], "data": ECHO, TOKEN: 1})),
    "a status line": f"HTTP/1.1 {ECHO}\r\n\r\n",
    "no status line": f"{ECHO}\r\n\r\n",
    "a chunk": f"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{TOKEN}\r\n",
    "half of it": f"HTTP/1.1 200 OK\r\ncontent-length: 9999\r\n\r\n{ECHO}",
    "a header without end": f"HTTP/1.1 200 OK\r\n{TOKEN}: {ECHO}" * 3000,
}


def _shown(error: BrokerError) -> str:
    """Return all that may be shown of an error, or written down."""
    chain = "".join(traceback.format_exception(error))
    return f"{error!r} {error} {error.to_wire()} {vars(error)} {chain} {pickle.dumps(error)!r}"


@pytest.mark.parametrize("said", ANSWERS.values(), ids=ANSWERS.keys())
def test_claim_36_an_echo_is_not_passed_on(said: str, caplog: pytest.LogCaptureFixture) -> None:
    def talk(talking: socket.socket) -> None:
        talking.sendall(said.encode())

    with BareServer(talk) as server, caplog.at_level(logging.DEBUG):
        vault = vault_at(f"http://{server.host}")
        client: Any = vault.client(TOKEN, once=True)
        with pytest.raises(BrokerError) as caught, translated("logging in"):
            client.write_data("auth/jwt/login", data={"jwt": JWT, "role": "dev"})
        assert TOKEN.encode() in server.asked[0]
    shown = f"{_shown(caught.value)} {vault!r} {client!r} {client.adapter!r} {caplog.text}"
    for part in (TOKEN, TOKEN[4:], *JWT.split(".")):
        assert part not in shown
    assert caught.value.__context__ is None
    assert caught.value.__cause__ is None
