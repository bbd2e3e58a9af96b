"""A rotation is asked for, gone after by its labels, and told to have failed where it has."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import pytest

from brokerd.backends.aws.chain import Roles
from brokerd.backends.aws.policies import Policies
from brokerd.backends.aws.reading import Reading
from brokerd.backends.aws.rotation import Rotations
from brokerd.backends.aws.settings import Settings
from brokerd.backends.aws.terms import StaticTerms, read
from brokerd.table import Table
from brokershim.errors import BackendRefused
from tests.support.aws import REGION, Aws
from tests.support.aws_stubbed import StubbedRoles
from tests.support.awsed import KEY, NAME, SECRET_ID, awsed

OLD, NEW = (f"{n}b9cbd74-2b4e-4ae9-9e0a-5b1f4a6d8e11" for n in (0, 1))
FUNCTION = f"arn:aws:lambda:{REGION}:123456789012:function:rotate"


class World:
    """Rotations, what they ask, and the time."""

    def __init__(self) -> None:
        self.roles, self.time = StubbedRoles(), 0.0
        self.stub = self.roles.stub("secretsmanager")
        roles, policies = cast("Roles", self.roles), Policies(REGION, scope=True)
        self.rotations = Rotations(roles, Reading(roles, policies), policies, lambda: self.time)

    def tells(self, labels: dict[str, list[str]], **more: Any) -> None:
        """Let the next look at the labels be answered."""
        answer = {"RotationEnabled": True, "VersionIdsToStages": labels, **more}
        self.stub.add_response("describe_secret", answer)

    def begins(self) -> str:
        """Begin a rotation."""
        self.tells({OLD: ["AWSCURRENT"]}, RotationLambdaARN=FUNCTION)
        self.stub.add_response("rotate_secret", {"VersionId": NEW})
        return self.rotations.begin(_terms())


@pytest.fixture
def world() -> Iterator[World]:
    found = World()
    yield found
    found.roles.no_more()


def _terms(**values: Any) -> StaticTerms:
    table = Table("config.toml", f'secret."{NAME}"', {"secret_id": SECRET_ID, **values})
    found = read(table, NAME, "cloud", Settings(REGION), 900.0)
    assert isinstance(found, StaticTerms)
    return found


def test_it_is_asked_for_as_a_session_that_may_rotate_and_not_read(world: World) -> None:
    world.begins()
    _, scope = world.roles.asked[-1]
    assert "RotateSecret" in str(scope)
    assert FUNCTION in str(scope)
    assert "GetSecretValue" not in str(scope)


@pytest.mark.parametrize(
    "function", ["*", FUNCTION.replace("rotate", "*"), FUNCTION + "${aws:x}", FUNCTION + "x" * 99]
)
def test_what_is_no_function_goes_into_no_policy(world: World, function: str) -> None:
    world.tells({OLD: ["AWSCURRENT"]}, RotationLambdaARN=function)
    world.stub.add_response("rotate_secret", {"VersionId": NEW})
    world.rotations.begin(_terms())
    assert "lambda" not in str(world.roles.asked[-1][1])


def test_it_is_over_once_its_version_is_the_current_one(world: World) -> None:
    version = world.begins()
    for labels in ({OLD: ["AWSCURRENT"], version: ["AWSPENDING"]},
                   {OLD: ["AWSPREVIOUS"], version: ["AWSCURRENT", "AWSPENDING"]}):  # fmt: skip
        world.tells(labels)
    assert [world.rotations.is_done(_terms(), version) for _ in range(2)] == [False, True]


def test_one_that_is_under_way_is_joined_and_not_asked_for_again(world: World) -> None:
    world.tells({OLD: ["AWSCURRENT"], NEW: ["AWSPENDING"]})
    assert world.rotations.begin(_terms()) == NEW


def test_a_label_that_the_last_rotation_left_is_none_under_way(world: World) -> None:
    world.tells({OLD: ["AWSCURRENT", "AWSPENDING"]})
    world.stub.add_response("rotate_secret", {"VersionId": NEW})
    assert world.rotations.begin(_terms()) != OLD


def test_a_version_that_is_not_known_yet_is_waited_for_but_not_for_long(world: World) -> None:
    version = world.begins()
    world.tells({OLD: ["AWSCURRENT"]})
    assert not world.rotations.is_done(_terms(), version)
    world.time += 15
    world.tells({OLD: ["AWSCURRENT"]})
    with pytest.raises(BackendRefused, match="has failed"):
        world.rotations.is_done(_terms(), version)


def test_each_of_several_is_waited_for(world: World) -> None:
    for version in [world.begins() for _ in range(2)]:
        world.tells({OLD: ["AWSCURRENT"]})
        assert not world.rotations.is_done(_terms(), version)


def test_an_answer_that_takes_its_time_takes_none_of_that(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask = world.roles.call

    def slowly(*what: Any, **more: Any) -> Any:
        world.time += 20.0
        return ask(*what, **more)

    monkeypatch.setattr(world.roles, "call", slowly)
    version = world.begins()
    monkeypatch.undo()
    world.tells({OLD: ["AWSCURRENT"]})
    assert not world.rotations.is_done(_terms(), version)


def test_one_that_another_rotation_has_replaced_is_over(world: World) -> None:
    version = world.begins()
    world.tells({version: ["AWSPREVIOUS"], OLD: ["AWSCURRENT"]})
    with pytest.raises(BackendRefused):
        world.rotations.is_done(_terms(), version)


def test_a_secret_that_nothing_rotates_is_left_alone(world: World) -> None:
    """Else RotateSecret would turn its schedule on, which somebody has turned off."""
    world.tells({OLD: ["AWSCURRENT"]}, RotationEnabled=False)
    with pytest.raises(BackendRefused, match="nothing at AWS rotates"):
        world.rotations.begin(_terms())


@pytest.mark.parametrize("values", [{"version_id": OLD}, {"stage": "AWSPREVIOUS"}])
def test_a_secret_that_stays_at_one_version_is_left_alone(
    world: World, values: dict[str, str]
) -> None:
    with pytest.raises(BackendRefused, match=r"config\.toml names"):
        world.rotations.begin(_terms(**values))


def test_the_whole_way_with_a_server(aws: Aws) -> None:
    aws.secret(SECRET_ID, KEY)
    backend = awsed(aws)
    before = backend.fetch(NAME).version
    aws.rotates(SECRET_ID, "sk-rotated")
    version = backend.rotate(NAME)
    assert not backend.has_rotated(NAME, version)
    assert backend.fetch(NAME).version == backend.newest(NAME) == before
    aws.finish(SECRET_ID)
    assert backend.has_rotated(NAME, version)
    found = backend.fetch(NAME)
    assert (found.value, found.version) == (b"sk-rotated", version)
    assert backend.newest(NAME) == version


def test_one_that_is_given_up_has_failed(aws: Aws) -> None:
    aws.secret(SECRET_ID, KEY)
    version = aws.begin(SECRET_ID, "sk-never")
    backend = awsed(aws)
    assert backend.rotate(NAME) == version
    aws.give_up(SECRET_ID)
    with pytest.raises(BackendRefused, match="has failed"):
        backend.has_rotated(NAME, version)
    assert backend.fetch(NAME).value == KEY.encode()
