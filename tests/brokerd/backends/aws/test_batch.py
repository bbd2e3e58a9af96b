"""Secrets that are wanted at once come with one request, and each has its own answer or error."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from brokerd.backends.aws.batch import MOST, Batches
from brokershim.errors import BackendUnavailable, ServerDown


class Gathering:
    """Batches whose first thread waits until the test says so."""

    def __init__(self, fits: Callable[[Sequence[str]], bool] = lambda _: True) -> None:
        self.sent: list[list[str]] = []
        self.failure: ServerDown | None = None
        self.begun, self.go = threading.Event(), threading.Event()
        self.batches = Batches(self._ask, fits, self._gather)
        self._pool = ThreadPoolExecutor(64)

    def get(self, ids: Sequence[str]) -> list[Any]:
        """Want these one after the other, all before the first is asked for."""
        first = self._pool.submit(self.batches.get, ids[0])
        assert self.begun.wait(5)
        joined = threading.Semaphore(0)
        before = self.batches._joined

        def counted(secret_id: str) -> Any:
            found = before(secret_id)
            joined.release()
            return found

        self.batches._joined = counted  # type: ignore[method-assign]
        rest = []
        for each in ids[1:]:
            rest.append(self._pool.submit(self.batches.get, each))
            assert joined.acquire(timeout=5)
        self.go.set()
        return [each.exception(5) or each.result(5) for each in (first, *rest)]

    def _gather(self) -> None:
        self.begun.set()
        assert self.go.wait(5)

    def _ask(self, ids: Sequence[str]) -> Mapping[str, Mapping[str, Any]]:
        self.sent.append(list(ids))
        if self.failure is not None:
            raise self.failure
        return {each: {"Name": each} for each in ids if each != "untold"}


def test_what_is_wanted_at_once_is_one_request() -> None:
    many = Gathering()
    assert many.get(["a", "b", "a", "c"]) == [{"Name": each} for each in "abac"]
    assert many.sent == [["a", "b", "c"]]


def test_one_alone_is_read_by_itself() -> None:
    alone = Gathering()
    assert alone.get(["a", "a"]) == [None, None]
    assert alone.sent == []


def test_what_a_batch_does_not_tell_of_is_read_by_itself() -> None:
    assert Gathering().get(["a", "untold"]) == [{"Name": "a"}, None]


def test_no_batch_has_more_than_aws_takes() -> None:
    many, ids = Gathering(), [f"s{n}" for n in range(2 * MOST + 1)]
    found = many.get(ids)
    assert found == [*({"Name": each} for each in ids[:-1]), None]
    assert sorted(map(len, many.sent)) == [MOST, MOST]


def test_no_batch_has_more_than_one_policy_can_name() -> None:
    many = Gathering(lambda ids: len(ids) <= 2)
    many.get(["a", "b", "c", "d"])
    assert sorted(many.sent) == [["a", "b"], ["c", "d"]]


def test_an_error_of_the_whole_request_is_everybodys() -> None:
    many = Gathering()
    many.failure = ServerDown("away")
    assert many.get(["a", "b"]) == [many.failure, many.failure]
    assert many.batches._open is None  # and the next begin anew


def test_a_fault_of_ours_leaves_nobody_waiting() -> None:
    def broken(_: Sequence[str]) -> Mapping[str, Mapping[str, Any]]:
        raise RuntimeError

    many = Gathering()
    many.batches._ask = broken
    first, other = many.get(["a", "b"])
    assert (type(first), type(other)) == (RuntimeError, BackendUnavailable)


@pytest.mark.parametrize("count", [1, 5])
def test_the_next_ones_are_another_batch(count: int) -> None:
    batches = Batches(lambda ids: {each: {} for each in ids}, lambda _: True, lambda: None)
    for _ in range(count):
        assert batches.get("a") is None
    assert batches._open is None
