"""Stands for IAM Identity Center on loopback, which moto does not have.

What it answers, and what it is asked, is held against botocore's models of ``sso-oidc`` and
``sso``: a field that is made up fails the test.
"""

from __future__ import annotations

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from tests.support import aws_shapes

START = "https://acme.awsapps.com/start"
USER_CODE = "WDJB-MJHT"
PAGE = f"https://device.sso.eu-west-1.amazonaws.com/?user_code={USER_CODE}"
SECRET = "the-client-secret-of-a-test"
_PATHS = {
    "/client/register": ("sso-oidc", "RegisterClient"),
    "/device_authorization": ("sso-oidc", "StartDeviceAuthorization"),
    "/token": ("sso-oidc", "CreateToken"),
    "/federation/credentials": ("sso", "GetRoleCredentials"),
    "/logout": ("sso", "Logout"),
}
_Answer = tuple[int, dict[str, str], bytes]
_Body = tuple[dict[str, Any], tuple[str, ...]]
"""And which of its fields are left out."""


class IdentityCenter:
    """Runs while it is entered.

    Attributes:
        asked: Each request: its operation and its parameters.
        fails: By operation: the names of the errors that the next requests for it get.
        refreshes: Whether a login can be refreshed.
        rotates: Whether it then gets another refresh token.
        life: Of an access token, in seconds.
        live: The access tokens that are good for something.
        interval: How often it wants to be asked, in seconds.
        seconds: How long a login may take.
        ends_in: Seconds until a role's credentials end.
        user_code: What a person is to see.
        page: Where a person is sent.
        wrong: What was asked that AWS would not know; empty, or the test fails.
    """

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.fails: dict[str, list[str]] = {}
        self.refreshes, self.life, self.page = True, 3600, PAGE
        self.rotates, self.ends_in = True, 3600
        self.interval, self.seconds, self.user_code = 1, 600, USER_CODE
        self.live: set[str] = set()
        self.wrong: list[str] = []
        self._count = 0
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> IdentityCenter:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        assert not self.wrong, self.wrong

    def params(self, operation: str) -> list[dict[str, Any]]:
        """Return the parameters of each request for an operation."""
        return [params for name, params in self.asked if name == operation]

    def answer(self, path: str, params: dict[str, Any]) -> _Answer:
        """Return the answer to a request; what cannot be one is noted."""
        service, operation = _PATHS[path]
        try:
            aws_shapes.asked(service, operation, params)
            self.asked.append((operation, params))
            return self._answer(service, operation, params)
        except AssertionError as error:
            self.wrong.append(f"{operation}: {error}")
            return 500, {}, b"{}"

    def _answer(self, service: str, operation: str, params: dict[str, Any]) -> _Answer:
        failures = self.fails.get(operation)
        if failures:
            return self._failure(service, operation, failures.pop(0), params)
        if service == "sso" and params["accessToken"] not in self.live:
            return self._failure(service, operation, "UnauthorizedException", params)
        if operation == "Logout":
            self.live.remove(params["accessToken"])
            return 200, {}, b""
        body, left_out = self._bodies(operation, params)
        return 200, {}, aws_shapes.reply(service, operation, body, without=left_out)

    def _failure(self, service: str, operation: str, name: str, params: dict[str, Any]) -> _Answer:
        """Fail, and repeat all that was sent."""
        words = f"it is no such one: {' '.join(map(str, params.values()))}"
        said = {"message" if service == "sso" else "error_description": words}
        return aws_shapes.failure(service, operation, name, **said)

    def _bodies(self, operation: str, params: dict[str, Any]) -> _Body:
        self._count += 1
        if operation == "RegisterClient":
            times = {"clientIdIssuedAt": 1, "clientSecretExpiresAt": int(time.time()) + 7_776_000}
            found = {"clientId": f"client-{self._count}", "clientSecret": SECRET, **times}
            return found, ("authorizationEndpoint", "tokenEndpoint")
        if operation == "StartDeviceAuthorization":
            return {
                "deviceCode": f"the-device-code-{self._count}",
                "userCode": self.user_code,
                "verificationUri": "https://device.sso.eu-west-1.amazonaws.com/",
                "verificationUriComplete": self.page,
                "expiresIn": self.seconds,
                "interval": self.interval,
            }, ()
        if operation == "CreateToken":
            return self._token(params["grantType"])
        return {"roleCredentials": self._credentials()}, ()

    def _token(self, grant_type: str) -> _Body:
        access = f"the-access-token-{self._count}"
        self.live.add(access)
        found = {"accessToken": access, "tokenType": "Bearer", "expiresIn": self.life}
        if not self.refreshes or (grant_type == "refresh_token" and not self.rotates):
            return found, ("refreshToken", "idToken")
        return {**found, "refreshToken": f"the-refresh-token-{self._count}"}, ("idToken",)

    def _credentials(self) -> dict[str, Any]:
        return {
            "accessKeyId": f"ASIA{self._count:016}",
            "secretAccessKey": "the-secret-key-of-a-role",
            "sessionToken": f"the-session-token-{self._count}",
            "expiration": int((time.time() + self.ends_in) * 1000),
        }

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        center = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                length = int(self.headers.get("content-length") or 0)
                params: dict[str, Any] = json.loads(self.rfile.read(length) or b"{}")
                self._reply(params)

            def do_GET(self) -> None:
                self._reply({})

            def _reply(self, params: dict[str, Any]) -> None:
                parts = urlsplit(self.path)
                found = {_member(name): value for name, value in parse_qsl(parts.query)}
                token = self.headers.get("x-amz-sso_bearer_token")
                if token is not None:
                    found["accessToken"] = token
                status, headers, body = center.answer(parts.path, {**params, **found})
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                """Say nothing."""

        return Handler


def _member(name: str) -> str:
    """Return a parameter of a query as the API names it."""
    return {"role_name": "roleName", "account_id": "accountId"}[name]
