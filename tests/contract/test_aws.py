"""AWS as a backend: a key in Secrets Manager that is all of a secret, text or not, or a field."""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Mapping
from types import MappingProxyType

import pytest

from brokerd.model import BoundedBy
from tests.contract.backend import BackendContract, Given
from tests.support.aws import Aws, role
from tests.support.aws_faults import denied
from tests.support.awsed import KEY, NAME, SECRET_ID, awsed

_REFUSED = denied(role("dev"), "secretsmanager:GetSecretValue", SECRET_ID)


class _Static(BackendContract):
    """Read as a session that may read that one secret."""

    terms: Mapping[str, str] = MappingProxyType({})

    @pytest.fixture
    def given(self, aws: Aws) -> Given:
        aws.secret(SECRET_ID, self.content(KEY.encode()))
        backend = awsed(aws, {NAME: {"secret_id": SECRET_ID, **self.terms}})

        def put(value: bytes) -> None:
            aws.put(SECRET_ID, self.content(value))

        return Given(backend, NAME, KEY.encode(), put, lambda: aws.fail(_REFUSED), knows=True)

    @abstractmethod
    def content(self, key: bytes) -> str | bytes:
        """Return what is in the secret where a key is to be."""

    def test_only_the_broker_ends_a_lease_of_it(self, given: Given) -> None:
        found = given.backend.fetch(NAME)
        assert found.bounded_by is BoundedBy.BROKER
        assert found.max_staleness == 900.0

    def test_its_version_is_the_one_at_aws(self, given: Given, aws: Aws) -> None:
        assert given.backend.fetch(NAME).version == aws.version(SECRET_ID)

    def test_no_session_may_read_another_secret(self, given: Given, aws: Aws) -> None:
        given.backend.fetch(NAME)
        (login,) = aws.calls("AssumeRoleWithWebIdentity")
        assert f":secret:{SECRET_ID}-" in login["params"]["Policy"]


class TestText(_Static):
    """All of a text."""

    def content(self, key: bytes) -> str:
        return key.decode()


class TestBinary(_Static):
    """All of what is no text to AWS."""

    def content(self, key: bytes) -> bytes:
        return key


class TestField(_Static):
    """One member of a JSON object."""

    terms = MappingProxyType({"field": "key"})

    def content(self, key: bytes) -> str:
        return json.dumps({"key": key.decode(), "user": "me"})
