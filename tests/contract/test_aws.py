"""AWS as a backend: a key in Secrets Manager, text or not, whole or a field; credentials of STS."""

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
_NOT_TAKEN_ON = denied(role("dev"), "sts:AssumeRole", role("bedrock")).on("AssumeRole")


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


class TestSts(BackendContract):
    """Credentials that are made for one lease."""

    @pytest.fixture
    def given(self, aws: Aws) -> Given:
        backend = awsed(aws, {NAME: {"engine": "sts", "role_arn": role("bedrock")}})
        return Given(backend, NAME, None, None, lambda: aws.fail(_NOT_TAKEN_ON), knows=True)

    def test_they_die_by_themselves_and_nothing_ends_them_earlier(self, given: Given) -> None:
        found = given.key()
        assert found.bounded_by is BoundedBy.PROVIDER
        assert found.expires_at is not None
        assert found.upstream is None

    def test_no_part_of_them_is_shown(self, given: Given) -> None:
        found = given.key()
        parts = json.loads(found.value)
        for part in ("SecretAccessKey", "SessionToken"):
            assert parts[part] not in repr(found) + found.version
