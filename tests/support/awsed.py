"""A backend for an AWS on loopback, built as config.toml says, that logs in as an identity."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

from brokerd.backends.aws.backend import AwsBackend, build
from brokerd.identities.base import Standing, Token
from brokerd.table import Table
from brokershim import clock
from tests.support.aws import REGION, Aws, role

NAME, KEY, SECRET_ID = "openai/dev", "sk-of-secrets-manager", "prod/openai"
HOSTS = ["api.example.com"]


class Worker:
    """An identity that says who it is, and signs nothing: this AWS takes any token.

    Attributes:
        login: What `revision` gives.
        tokens: How often it was asked.
    """

    name, kind = "work", "worker"

    def __init__(self) -> None:
        self.login, self.tokens = 1, 0

    def revision(self) -> Hashable:
        """Return the number of logins."""
        return self.login

    def token(self, audience: str | None) -> Token:
        """Return another token."""
        self.tokens += 1
        return Token(f"token-{self.tokens}.of.{audience}", "https://id", "me", clock.now() + 300)

    def standing(self) -> Standing:
        """Return that it is ready."""
        return Standing("ready")


def table(aws: Aws, **more: Any) -> dict[str, Any]:
    """Return a backend's table, which logs in with `Worker`, and narrows each session."""
    return {
        "region": REGION,
        "login": "web-identity",
        "identity": "work",
        "role_arn": role("dev"),
        "endpoints": aws.endpoints,
        **more,
    }


def awsed(
    aws: Aws,
    secrets: Mapping[str, Mapping[str, Any]] | None = None,
    worker: Worker | None = None,
    **more: Any,
) -> AwsBackend:
    """Build a backend.

    Args:
        aws: Where it asks.
        secrets: The tables of its secrets by name; without ``hosts`` they get some. `NAME`, which
            is `SECRET_ID` there, if not given.
        worker: Who logs in; somebody new if not given.
        more: Of the backend's own table.
    """
    given = {NAME: {"secret_id": SECRET_ID}} if secrets is None else secrets
    tables = {
        each: Table("config.toml", f'secret."{each}"', {"hosts": HOSTS, **values})
        for each, values in given.items()
    }
    own = Table("config.toml", "backend.cloud", table(aws, **more))
    return build("cloud", own, tables, {"work": worker or Worker()})
