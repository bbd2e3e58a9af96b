"""Stands for `chain.Roles`: botocore's own clients, whose answers a test gives.

botocore's Stubber holds each request and each answer against its model of the service, so that a
made-up parameter or field fails the test.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any, TypeVar

from brokerd.backends.aws.faults import translated
from brokershim.errors import NotFound, SecretNotFound
from tests.support.aws import REGION

_Result = TypeVar("_Result")


class StubbedRoles:
    """Clients by service, and what was asked of them.

    Attributes:
        login: What `revision` gives.
        role: The role that is asked as.
        asked: Each call so far: what it was for, and its scope.
    """

    def __init__(self) -> None:
        self.login = 1
        self.role: str | None = None
        self.asked: list[tuple[str, str | None]] = []
        self._clients: dict[str, tuple[Any, Any]] = {}

    def stub(self, service: str) -> Any:
        """Return the Stubber of a service."""
        return self._of(service)[1]

    def no_more(self) -> None:
        """Fail where an answer that was given has not been asked for."""
        for _, stub in self._clients.values():
            stub.assert_no_pending_responses()

    def revision(self) -> int:
        return self.login

    def keys(self, scope: str | None = None) -> None:
        self.asked.append(("having credentials", scope))

    def call(
        self,
        service: str,
        work: Callable[[Any], _Result],
        what: str,
        *,
        scope: str | None = None,
        missing: type[NotFound] = SecretNotFound,
    ) -> _Result:
        self.asked.append((what, scope))
        with translated(what, missing):
            return work(self._of(service)[0])

    def _of(self, service: str) -> tuple[Any, Any]:
        if service not in self._clients:
            self._clients[service] = _stubbed(service)
        return self._clients[service]


_made: dict[str, Any] = {}


def _stubbed(service: str) -> tuple[Any, Any]:
    session: Any = importlib.import_module("botocore.session")  # slow; and it carries no types
    stub: Any = importlib.import_module("botocore.stub")
    if not _made:
        _made[""] = session.Session()
    client = _made[""].create_client(
        service, REGION, aws_access_key_id="AKIA", aws_secret_access_key="of-the-test"
    )
    stubber = stub.Stubber(client)
    stubber.activate()
    return client, stubber
