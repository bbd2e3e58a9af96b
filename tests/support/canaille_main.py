"""Canaille in a process of its own: an OpenID provider, with one user and one client.

It says its address on the first line of stdout. Each line of stdin is one more redirect URI of the
client, for Canaille compares them whole, with the port; it says ``ok`` once it knows it. It ends
when its stdin does.
"""

from __future__ import annotations

import importlib
import secrets
import socket
import sys
import threading
from typing import Any

from flask import Flask
from joserfc.jwk import RSAKey
from werkzeug.serving import make_server

# It carries no types.
_canaille, _models, _backends = (
    importlib.import_module(name)
    for name in ("canaille", "canaille.app.models", "canaille.backends")
)


def main() -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    port: int = listener.getsockname()[1]
    app: Flask = _canaille.create_app(_settings(port))
    with app.app_context():
        _fill()
    server = make_server("127.0.0.1", port, app, threaded=True, fd=listener.fileno())
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(f"http://127.0.0.1:{port}", flush=True)
    for line in sys.stdin:
        _redirect_to(app, line.strip())


def _settings(port: int) -> dict[str, object]:
    key = RSAKey.generate_key(2048, {"kid": "key-1", "use": "sig", "alg": "RS256"})
    return {
        "SECRET_KEY": secrets.token_hex(),
        "SERVER_NAME": f"127.0.0.1:{port}",
        "PREFERRED_URL_SCHEME": "http",
        "SESSION_COOKIE_SECURE": False,
        "CANAILLE": {"DATABASE": "memory"},
        "CANAILLE_OIDC": {"ACTIVE_JWKS": [key.as_dict(private=True)]},
    }


def _fill() -> None:
    store: Any = _backends.Backend.instance
    store.save(
        _models.User(
            user_name="ada",
            formatted_name="Ada Lovelace",
            family_name="Lovelace",
            emails=["ada@example.com"],
            password="correct horse battery",
        )
    )
    client = _models.Client(
        client_id="brokerctl",
        client_name="brokerctl",
        token_endpoint_auth_method="none",
        grant_types=["authorization_code", "refresh_token"],
        response_types=["code"],
        scope=["openid", "email", "profile"],
        redirect_uris=[],
    )
    store.save(client)
    client.audience = [client]
    store.save(client)


def _redirect_to(app: Flask, uri: str) -> None:
    with app.app_context():
        store: Any = _backends.Backend.instance
        client = store.get(_models.Client, client_id="brokerctl")
        client.redirect_uris = [*client.redirect_uris, uri]
        store.save(client)
    print("ok", flush=True)


if __name__ == "__main__":
    main()
