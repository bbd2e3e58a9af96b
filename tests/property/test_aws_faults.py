"""In whatever order faults come: does anybody get a dead credential, or wait past the deadline?"""

from __future__ import annotations

import functools
import json
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from brokerd.backends.aws.backend import AwsBackend
from brokerd.backends.aws.chain import Roles
from brokerd.backends.aws.clients import Clients
from brokerd.backends.aws.clients import _own_session as own_session
from brokerd.backends.aws.login.web_identity import WebIdentity
from brokerd.backends.aws.policies import Policies
from brokerd.backends.aws.reading import Reading
from brokerd.backends.aws.secretsmanager import StaticSecrets
from brokerd.backends.aws.settings import Settings
from brokerd.backends.aws.sts import StsCredentials
from brokerd.backends.aws.terms import Terms, read
from brokerd.blocking import DEADLINE_SECONDS
from brokerd.table import Table
from brokershim.errors import BrokerError
from tests.support.aws import REGION, role
from tests.support.aws_in_memory import FAULTS, Memory, in_memory
from tests.support.awsed import Worker
from tests.support.backends import WHOM

_SETTINGS = Settings(
    REGION,
    roles=(role("dev"),),
    duration=900.0,
    scope=True,
    endpoints=dict.fromkeys(("sts", "secretsmanager"), "http://127.0.0.1:1"),
)
_NAME, _MADE = "openai/dev", "bedrock/dev"
_WELL = 700.0
"""Seconds after which no fault of before is felt any more."""
# Not `explain`: it traces every line of botocore, which takes minutes.
_PHASES = (Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink)
_MOST = 30
"""Requests that one question may lead to: each step is tried three times, and all of it twice."""
_ROUNDED = 1.0
"""Seconds: the Date of an answer has no fractions."""

_FAULT = st.one_of(st.none(), st.sampled_from(FAULTS))
_STEPS = st.one_of(
    st.tuples(st.sampled_from(["fetch", "newest", "make"]), st.lists(_FAULT, max_size=8)),
    st.tuples(st.just("wait"), st.sampled_from([1.0, 61.0, 290.0, 610.0, 850.0, 899.0, 2000.0])),
    st.tuples(st.sampled_from(["rotate", "finish", "end", "login"]), st.none()),
)


_session = functools.cache(own_session)
"""One that has read botocore's models of the services, for all worlds."""


class _World:
    """What asks AWS for keys, and the AWS."""

    def __init__(self) -> None:
        self.memory, self.worker = Memory(), Worker()
        now = self.memory.clock
        clients = Clients("cloud", _SETTINGS, now)
        clients._session = _session()
        login = WebIdentity(self.worker, "sts", role("me"), clients, now)
        self.roles = Roles(login, clients, now)
        policies = Policies(REGION, scope=True)
        static = StaticSecrets(Reading(self.roles, policies), now)
        terms = {
            _NAME: _terms(secret_id="prod/openai", hosts=["h"]),
            _MADE: _terms(engine="sts", role_arn=role("bedrock"), duration="15m"),
        }
        self.backend = AwsBackend(self.roles, _SETTINGS, None, terms, 60.0)
        self.backend._static, self.backend._made = static, StsCredentials(self.roles, now, now)

    def take(self, step: str, with_: Any) -> None:
        memory = self.memory
        match step:
            case "wait":
                memory.now += with_
            case "rotate":
                memory.pending = True
            case "finish" if memory.pending:
                memory.pending, memory.number = False, memory.number + 1
            case "end":
                memory.ended |= {*memory.sessions}
            case "login":
                self.worker.login += 1
                memory.foreign |= {*memory.sessions}
            case "fetch" | "newest" | "make":
                self.ask(step, with_)
            case _:
                pass

    def ask(self, step: str, faults: list[str | None]) -> bool:
        """Ask once, while some things go wrong; return whether anything came."""
        memory = self.memory
        memory.faults, begun, before = list(faults), memory.now, memory.requests
        try:
            getattr(self, step)()
        except BrokerError:
            came = False
        else:
            came = True
        assert memory.now - begun <= DEADLINE_SECONDS
        assert memory.requests - before <= _MOST
        assert not memory.dead
        assert came or faults, f"{step} fails though all is well"
        return came

    def fetch(self) -> None:
        found = self.backend.fetch(_NAME)
        assert found.value == self.memory.key.encode()
        assert found.version == self.memory.version()

    def newest(self) -> None:
        assert self.backend.newest(_NAME) == self.memory.version()

    def make(self) -> None:
        made = self.backend.make(_MADE, None, WHOM)
        access_key = json.loads(made.value)["AccessKeyId"]
        assert access_key not in self.memory.ended
        assert made.expires_at is not None
        assert made.expires_at <= self.memory.sessions[access_key] + _ROUNDED
        assert made.expires_at - self.memory.now >= 900.0 - DEADLINE_SECONDS


def _terms(**values: object) -> Terms:
    return read(Table("config.toml", "s", values), _NAME, "cloud", Settings(REGION), 900.0)


def test_a_question_that_takes_many_slow_answers_ends_in_time() -> None:
    slow: list[str | None] = ["slow 14"] * 8
    _live([("fetch", []), ("wait", 2000.0), ("fetch", slow)])
    _live([("fetch", ["slow 14", "slow 14", "expired", *slow])])


def test_no_session_outlives_its_login_or_is_used_once_aws_has_ended_it() -> None:
    for ended in ("end", "login"):
        _live([("fetch", []), (ended, None), ("newest", []), ("make", []), ("fetch", [])])


@settings(max_examples=12, phases=_PHASES)
@given(st.lists(_STEPS, max_size=20))
def test_no_fault_gives_a_dead_credential_or_a_long_wait(steps: list[tuple[str, Any]]) -> None:
    _live(steps)


@pytest.mark.slow
@pytest.mark.timeout(600)
@settings(max_examples=300, phases=_PHASES)
@given(st.lists(_STEPS, max_size=40))
def test_nor_does_any_of_many_orders_of_them(steps: list[tuple[str, Any]]) -> None:
    _live(steps)


def _live(steps: list[tuple[str, Any]]) -> None:
    world = _World()
    with in_memory(world.memory):
        for step, with_ in steps:
            world.take(step, with_)
        world.memory.now += _WELL
        for step in ("fetch", "newest", "make"):
            assert world.ask(step, [])
