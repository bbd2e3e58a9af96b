"""A static key in Secrets Manager: read by its label, as a field or whole, and never a dead one."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

import pytest

from brokerd.backends.aws.backend import AwsBackend
from brokerd.backends.aws.batch import Batches
from brokerd.backends.aws.chain import Roles
from brokerd.backends.aws.policies import Policies
from brokerd.backends.aws.reading import Reading
from brokerd.backends.aws.secretsmanager import StaticSecrets
from brokerd.backends.aws.settings import Settings
from brokerd.backends.aws.terms import StaticTerms, read
from brokerd.table import Table
from brokershim.errors import BackendRefused, SecretDeleted, SecretNotFound, ServerDown
from tests.support.aws import REGION, Aws
from tests.support.aws_faults import DELETED, Fault
from tests.support.aws_stubbed import StubbedRoles
from tests.support.awsed import KEY, NAME, SECRET_ID, awsed

ARN = f"arn:aws:secretsmanager:{REGION}:123456789012:secret:{SECRET_ID}-a1B2c3"
OLD, NEW = (f"{n}b9cbd74-2b4e-4ae9-9e0a-5b1f4a6d8e11" for n in (0, 1))
_STALE = 900.0


class World:
    """Static secrets, what they ask, and the time."""

    def __init__(self) -> None:
        self.roles, self.time = StubbedRoles(), 0.0
        self.stub = self.roles.stub("secretsmanager")
        policies = Policies(REGION, scope=True)
        self.reading = Reading(cast("Roles", self.roles), policies)
        self.secrets = StaticSecrets(self.reading, lambda: self.time)

    def gives(self, version: str = OLD, *stages: str, **more: Any) -> None:
        """Let the next read be answered."""
        answer = {
            "ARN": ARN,
            "Name": SECRET_ID,
            "VersionId": version,
            "VersionStages": list(stages or ("AWSCURRENT",)),
            **(more or {"SecretString": f"sk-{version[0]}"}),
        }
        self.stub.add_response("get_secret_value", answer)

    def tells(self, stages: dict[str, list[str]], **more: Any) -> None:
        """Let the next look at the labels be answered."""
        answer = {"ARN": ARN, "Name": SECRET_ID, "VersionIdsToStages": stages, **more}
        self.stub.add_response("describe_secret", answer, {"SecretId": SECRET_ID})

    def refuses(self, method: str, code: str = "AccessDeniedException") -> None:
        """Let the next call be refused."""
        self.stub.add_client_error(method, code, "no", 400)


@pytest.fixture
def world() -> Iterator[World]:
    found = World()
    yield found
    found.roles.no_more()


def _terms(**values: Any) -> StaticTerms:
    table = Table("config.toml", f'secret."{NAME}"', {"secret_id": SECRET_ID, **values})
    found = read(table, NAME, "cloud", Settings(REGION), _STALE)
    assert isinstance(found, StaticTerms)
    return found


@pytest.mark.parametrize(
    ("values", "asked"),
    [
        ({}, {"VersionStage": "AWSCURRENT"}),
        ({"stage": "AWSPREVIOUS"}, {"VersionStage": "AWSPREVIOUS"}),
        ({"version_id": OLD}, {"VersionId": OLD}),
        (
            {"version_id": OLD, "stage": "AWSPREVIOUS"},
            {"VersionId": OLD, "VersionStage": "AWSPREVIOUS"},
        ),
    ],
)
def test_the_label_is_always_said(
    world: World, values: dict[str, str], asked: dict[str, str]
) -> None:
    answer = {"VersionId": OLD, "VersionStages": ["AWSPREVIOUS", "AWSCURRENT"], "SecretString": "k"}
    world.stub.add_response("get_secret_value", answer, {"SecretId": SECRET_ID, **asked})
    found = world.secrets.fetch(_terms(**values))
    assert (found.value, found.version, found.max_staleness) == (b"k", OLD, _STALE)


@pytest.mark.parametrize(
    ("content", "values", "key"),
    [
        ({"SecretString": "sk-1"}, {}, b"sk-1"),
        ({"SecretBinary": b"\x01sk"}, {}, b"\x01sk"),
        ({"SecretString": '{"key": "sk-1", "n": 1}'}, {"field": "key"}, b"sk-1"),
        ({"SecretBinary": b'{"key": "sk-1"}'}, {"field": "key"}, b"sk-1"),
        # Half a character, which no key has: for the daemon to refuse.
        ({"SecretString": "sk-\ud800"}, {}, b"sk-\xed\xa0\x80"),
        ({"SecretString": r'{"key": "sk-\ud800"}'}, {"field": "key"}, b"sk-\xed\xa0\x80"),
    ],
)
def test_a_key_is_all_of_it_or_one_field(
    world: World, content: dict[str, Any], values: dict[str, str], key: bytes
) -> None:
    world.gives(**content)
    assert world.secrets.fetch(_terms(**values)).value == key


@pytest.mark.parametrize(
    "content",
    ["sk-of-the-test", '["sk-of-the-test"]', '{"other": "sk-of-the-test"}', '{"key": 12345678}',
     '{"key": ""}', '{"key": {"a": "sk-of-the-test"}}', "[" * 100_000],
)  # fmt: skip
def test_what_has_no_such_field_is_not_found_and_not_shown(world: World, content: str) -> None:
    world.gives(SecretString=content)
    with pytest.raises(SecretNotFound) as caught:
        world.secrets.fetch(_terms(field="key"))
    said = repr(vars(caught.value)) + caught.value.message
    assert "sk-of-the-test" not in said
    assert "12345678" not in said
    assert caught.value.__context__ is None


def test_a_json_object_is_no_key_by_itself_and_not_shown(world: World) -> None:
    """As AWS's console makes one, of a key and its name."""
    world.gives(SecretString='{"OPENAI_API_KEY":"sk-of-the-test"}')
    with pytest.raises(SecretNotFound, match="is a JSON object") as caught:
        world.secrets.fetch(_terms())
    assert "`field`" in caught.value.hint
    assert "sk-of-the-test" not in repr(vars(caught.value)) + caught.value.message


@pytest.mark.parametrize(
    "content", [{}, {"SecretString": ""}, {"SecretBinary": b""}, {"SecretString": 1}]
)
def test_an_empty_one_is_not_found(
    world: World, monkeypatch: pytest.MonkeyPatch, content: dict[str, Any]
) -> None:
    answer = {"VersionId": OLD, "VersionStages": ["AWSCURRENT"], **content}
    monkeypatch.setattr(world.reading, "value", lambda *_: answer)
    with pytest.raises(SecretNotFound, match="is empty"):
        world.secrets.fetch(_terms())


def test_a_version_that_lost_its_label_meanwhile_is_not_given(world: World) -> None:
    world.gives(OLD, "AWSPREVIOUS")
    with pytest.raises(ServerDown, match="not labelled AWSCURRENT"):
        world.secrets.fetch(_terms())


@pytest.mark.parametrize("secret_id", [ARN.replace("a1B2c3", "d4E5f6"), f"{SECRET_ID}-a1B2c3"])
def test_another_secret_is_not_given(world: World, secret_id: str) -> None:
    world.gives()
    with pytest.raises(ServerDown, match="another secret"):
        world.secrets.fetch(_terms(secret_id=secret_id))


def test_a_version_without_a_name_is_not_given(world: World) -> None:
    world.stub.add_response("get_secret_value", {"SecretString": "k"})
    with pytest.raises(ServerDown, match="no version") as caught:
        world.secrets.fetch(_terms())
    assert "`endpoints`" in caught.value.hint


def test_what_is_fetched_again_is_held_against_the_labels(world: World) -> None:
    """As after a 401: a read that lags behind must not bring the dead key once more."""
    terms = _terms()
    world.gives(OLD)
    assert world.secrets.fetch(terms).version == OLD
    world.gives(OLD)
    world.tells({OLD: ["AWSPREVIOUS"], NEW: ["AWSCURRENT"]})
    asked = {"SecretId": SECRET_ID, "VersionId": NEW, "VersionStage": "AWSCURRENT"}
    answer = {"VersionId": NEW, "VersionStages": ["AWSCURRENT"], "SecretString": "sk-new"}
    world.stub.add_response("get_secret_value", answer, asked)
    assert world.secrets.fetch(terms).value == b"sk-new"


@pytest.mark.parametrize(
    "labels", [{OLD: ["AWSCURRENT"]}, {OLD: ["AWSCURRENT"], NEW: ["AWSPENDING"]}]
)
def test_labels_that_lag_behind_what_is_read_change_nothing(
    world: World, labels: dict[str, list[str]]
) -> None:
    for _ in range(2):
        world.gives(NEW)
    world.tells(labels)
    assert [world.secrets.fetch(_terms()).version for _ in range(2)] == [NEW, NEW]


def test_what_is_pending_is_not_given_while_a_rotation_is_under_way(world: World) -> None:
    terms, labels = _terms(), {OLD: ["AWSCURRENT"], NEW: ["AWSPENDING"]}
    for _ in range(2):
        world.gives(OLD)
    world.tells(labels)
    assert [world.secrets.fetch(terms).version for _ in range(2)] == [OLD, OLD]
    world.tells(labels)
    assert world.secrets.newest(terms) == OLD


@pytest.mark.parametrize(
    "values",
    [{"version_id": OLD}, {"version_id": OLD, "stage": "AWSPREVIOUS"}, {"stage": "AWSPREVIOUS"}],
)
def test_what_is_pinned_stays_though_another_is_current(
    world: World, values: dict[str, str]
) -> None:
    terms, labels = _terms(**values), {OLD: ["AWSPREVIOUS"], NEW: ["AWSCURRENT"]}
    for _ in range(2):
        world.gives(OLD, "AWSPREVIOUS")
    for _ in range(2):
        world.tells(labels)
    assert [world.secrets.fetch(terms).version for _ in range(2)] == [OLD, OLD]
    assert world.secrets.newest(terms) == OLD


def test_no_key_travels_to_see_whether_it_is_the_newest(world: World) -> None:
    world.gives(OLD)
    world.secrets.fetch(_terms())
    for labels in ({OLD: ["AWSCURRENT"]}, {OLD: ["AWSPREVIOUS"], NEW: ["AWSCURRENT"]}):
        world.tells(labels)
    assert [world.secrets.newest(_terms()) for _ in range(2)] == [OLD, NEW]


def test_a_key_that_may_not_be_read_any_more_is_found_out_in_time(world: World) -> None:
    """Who may look at the labels, and no more at the key, would otherwise be served for ever."""
    world.gives(OLD)
    world.secrets.fetch(_terms())
    world.time += _STALE
    world.refuses("get_secret_value")
    with pytest.raises(BackendRefused):
        world.secrets.newest(_terms())


def test_a_login_that_may_not_look_at_labels_reads_and_is_refused_once(world: World) -> None:
    world.gives(OLD)
    world.secrets.fetch(_terms())
    world.refuses("describe_secret")
    for _ in range(4):  # once more than it is asked: the role might be what is refused
        world.gives(NEW)
    assert [world.secrets.newest(_terms()) for _ in range(3)] == [NEW] * 3
    world.roles.login += 1  # somebody else may be allowed to
    world.tells({NEW: ["AWSCURRENT"]})
    assert world.secrets.newest(_terms()) == NEW


def test_a_role_that_is_refused_for_a_while_is_no_lack_of_a_right(world: World) -> None:
    world.gives(OLD)
    world.secrets.fetch(_terms())
    for each in ("describe_secret", "get_secret_value"):
        world.refuses(each)
    with pytest.raises(BackendRefused):
        world.secrets.newest(_terms())
    world.tells({NEW: ["AWSCURRENT"]})
    assert world.secrets.newest(_terms()) == NEW


def test_credentials_that_are_over_are_no_lack_of_a_right(world: World) -> None:
    world.gives(OLD)
    world.secrets.fetch(_terms())
    world.refuses("describe_secret", "ExpiredTokenException")
    with pytest.raises(BackendRefused, match="over"):
        world.secrets.newest(_terms())
    world.tells({NEW: ["AWSCURRENT"]})
    assert world.secrets.newest(_terms()) == NEW
    world.refuses("batch_get_secret_value", "ExpiredTokenException")
    with pytest.raises(BackendRefused, match="over"):
        world.reading._several(["a", "b"])
    assert world.reading._without_batches == set()


@pytest.mark.parametrize("values", [{"stage": "AWSPREVIOUS"}, {"version_id": OLD}])
def test_a_batch_is_for_the_current_ones_only(world: World, values: dict[str, str]) -> None:
    world.reading._batches = None  # type: ignore[assignment]
    world.gives(OLD, "AWSPREVIOUS")
    assert world.secrets.fetch(_terms(**values)).version == OLD


@pytest.mark.parametrize(
    ("code", "kind"),
    [("InternalServiceError", ServerDown), ("AccessDeniedException", BackendRefused)],
)
def test_an_error_of_one_in_a_batch_is_what_it_would_be_alone(
    world: World, code: str, kind: type[Exception]
) -> None:
    told = {"SecretId": SECRET_ID, "ErrorCode": code, "Message": "no"}
    world.reading._batches = SimpleNamespace(get=lambda _: told)  # type: ignore[assignment]
    with pytest.raises(kind):
        world.secrets.fetch(_terms())


def test_one_that_is_marked_for_deletion_is_told_apart(world: World) -> None:
    world.gives(OLD)
    world.secrets.fetch(_terms())
    world.tells({OLD: ["AWSCURRENT"]}, DeletedDate=datetime(2030, 1, 1, tzinfo=UTC))
    with pytest.raises(SecretDeleted):
        world.secrets.newest(_terms())


def test_a_label_that_no_version_has_is_not_found(world: World) -> None:
    world.gives(OLD, "AWSPREVIOUS")
    terms = _terms(stage="AWSPREVIOUS")
    world.secrets.fetch(terms)
    world.tells({NEW: ["AWSCURRENT"]})
    with pytest.raises(SecretNotFound, match="AWSPREVIOUS"):
        world.secrets.newest(terms)


def test_several_at_once_are_one_request_with_an_error_of_its_own_for_each(aws: Aws) -> None:
    names = [f"team/{n}" for n in range(6)]
    for each in names:
        aws.secret(each, f"sk-{each}")
    backend = awsed(aws, {each: {"secret_id": each} for each in [*names, "team/none"]})
    found = _at_once(backend, [*names, "team/none"])
    assert [each.value.decode() for each in found[:-1]] == [f"sk-{each}" for each in names]
    assert isinstance(found[-1], SecretNotFound)
    assert aws.calls("GetSecretValue") == []
    assert len(aws.calls("BatchGetSecretValue")) == 1
    (login,) = aws.calls("AssumeRoleWithWebIdentity")
    resources = json.loads(login["params"]["Policy"])["Statement"][0]["Resource"]
    assert sorted(each.split(":secret:")[1] for each in resources) == sorted(
        f"{each}-??????" for each in [*names, "team/none"]
    )


@pytest.mark.parametrize(
    "fault",
    [
        Fault("AccessDeniedException", "no"),
        Fault("InvalidParameterException", "one of them has no such name"),
        Fault("ResourceNotFoundException", "one of them is not there"),
        DELETED,
    ],
)
def test_what_cannot_be_read_at_once_is_read_one_by_one_and_refused_once(
    aws: Aws, fault: Fault
) -> None:
    names = ["team/a", "team/b"]
    for each in names:
        aws.secret(each, f"sk-{each}")
    aws.fail(fault.on("BatchGetSecretValue"))
    backend = awsed(aws, {each: {"secret_id": each} for each in names})
    for _ in range(2):
        assert [each.value.decode() for each in _at_once(backend, names)] == [
            "sk-team/a",
            "sk-team/b",
        ]
    assert len(aws.calls("BatchGetSecretValue")) == 1


def test_a_deleted_one_is_told_apart_by_aws_itself(aws: Aws) -> None:
    aws.secret(SECRET_ID, KEY)
    aws.fail(DELETED.on("GetSecretValue"))
    with pytest.raises(SecretDeleted):
        awsed(aws).fetch(NAME)


def _at_once(backend: AwsBackend, names: list[str]) -> list[Any]:
    """Fetch all, the first no sooner than all are wanted; return what came of each."""
    batches = backend._static._reading._batches
    batches._gather = lambda: _wait_for(batches, len(names))

    def fetch(name: str) -> Any:
        try:
            return backend.fetch(name)
        except SecretNotFound as error:
            return error

    with ThreadPoolExecutor(len(names)) as pool:
        return list(pool.map(fetch, names))


def _wait_for(batches: Batches, count: int) -> None:
    for _ in range(5000):
        if batches._open is not None and len(batches._open.ids) == count:
            return
        time.sleep(0.001)
    raise AssertionError("they never came together")
