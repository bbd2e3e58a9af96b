"""Is AWS asked as fast as it takes it, by all callers together?"""

from __future__ import annotations

from typing import Any

import pytest

from brokerd.backends.aws.faults import translated
from brokerd.backends.aws.login.base import Keys
from brokerd.backends.aws.pace import QUIET_SECONDS, WAIT_SECONDS, Pace
from brokershim.errors import RateLimited
from tests.support import aws_faults
from tests.support.aws import Aws
from tests.support.aws_asking import ADMINS, Clock, clients

pytestmark = pytest.mark.usefixtures("no_pauses")
THROTTLED = {"Error": {"Code": "ThrottlingException"}, "ResponseMetadata": {"HTTPStatusCode": 400}}
SERVED: dict[str, Any] = {"ResponseMetadata": {"HTTPStatusCode": 200}}


def heard(pace: Pace, answer: dict[str, Any]) -> None:
    """Let an answer come."""
    pace._heard(
        response=(None, answer),
        attempts=1,
        operation=None,
        caught_exception=None,
        request_dict={"context": {}},
    )


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def pace(clock: Clock) -> Pace:
    return Pace(clock.sleep, clock)


def test_nobody_waits_who_was_never_throttled(pace: Pace, clock: Clock) -> None:
    for _ in range(100):
        pace._wait()
        heard(pace, SERVED)
    assert clock.slept == []


def test_all_wait_once_one_was_throttled(pace: Pace, clock: Clock) -> None:
    heard(pace, THROTTLED)
    begun = clock()
    for _ in range(3):
        pace._wait()
    assert clock() - begun >= 3.0  # half a request a second, and none to begin with


def test_the_pace_picks_up_as_aws_serves_again(pace: Pace, clock: Clock) -> None:
    heard(pace, THROTTLED)
    ends = [clock()]
    for _ in range(30):
        pace._wait()
        clock.now += 0.01
        heard(pace, SERVED)
        ends.append(clock())
    assert ends[-1] - ends[-4] < (ends[3] - ends[0]) / 4


def test_nobody_waits_without_end(pace: Pace, clock: Clock) -> None:
    heard(pace, THROTTLED)
    pace._bucket._fill_rate = 0.001
    begun = clock()
    with pytest.raises(RateLimited), translated("reading"):
        pace._wait()
    assert clock() - begun == pytest.approx(WAIT_SECONDS, abs=0.1)


def test_it_is_forgotten_after_a_quiet_while(pace: Pace, clock: Clock) -> None:
    heard(pace, THROTTLED)
    clock.now += QUIET_SECONDS
    for _ in range(100):
        pace._wait()
    assert clock.slept == []


def test_one_bucket_is_for_all_credentials(aws: Aws) -> None:
    asking = clients(aws)
    one, other = asking.client("sts", ADMINS), asking.client("sts", Keys("AKIA2", "s", None, None))
    (pace,) = asking._paces.values()
    waited: list[float] = []

    def sleep(seconds: float) -> None:
        waited.append(seconds)
        pace._bucket._current_capacity = 1  # as if it had passed

    pace._sleep = sleep
    aws.fail(aws_faults.THROTTLED.on("GetCallerIdentity").only(1))
    one.get_caller_identity()
    pace._bucket._current_capacity, before = 0, len(waited)
    other.get_caller_identity()
    assert len(waited) == before + 1


def test_throttling_that_goes_on_is_told(aws: Aws) -> None:
    aws.fail(aws_faults.THROTTLED.on("GetCallerIdentity"))
    asking = clients(aws)
    client = asking.client("sts", ADMINS)
    (pace,) = asking._paces.values()
    pace._sleep = lambda _: None
    with pytest.raises(RateLimited), translated("asking"):
        client.get_caller_identity()
