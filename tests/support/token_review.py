"""A Kubernetes API server, as far as Vault asks it: is this token of a service account good?"""

from __future__ import annotations

import json
from typing import Any

from joserfc.errors import JoseError

from tests.support.jwks import Issuer
from tests.support.provider import Answer, Asked, Provider

_PATH = "/apis/authentication.k8s.io/v1/tokenreviews"


class TokenReviews:
    """Answers TokenReview requests for the tokens of one issuer; a context manager.

    Args:
        issuer: Who signs the tokens that are good.
    """

    def __init__(self, issuer: Issuer) -> None:
        self._issuer = issuer
        self._provider = Provider(self._reply)
        self.url = self._provider.url

    def __enter__(self) -> TokenReviews:
        self._provider.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._provider.__exit__()

    def _reply(self, asked: Asked) -> Answer:
        if asked.target.partition("?")[0] != _PATH:
            return Answer(404, b"{}")
        status = self._status(json.loads(asked.body)["spec"]["token"])
        kind = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview"}
        return Answer(201, json.dumps({**kind, "status": status}).encode())

    def _status(self, token: str) -> dict[str, Any]:
        try:
            claims = self._issuer.verify(token)
        except (JoseError, ValueError):
            return {"authenticated": False, "error": "invalid bearer token"}
        account = claims["kubernetes.io"]["serviceaccount"]
        user = {"username": claims["sub"], "uid": account["uid"], "groups": []}
        return {"authenticated": True, "audiences": claims["aud"], "user": user}
