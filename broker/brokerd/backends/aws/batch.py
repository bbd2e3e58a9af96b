"""How do several secrets that are wanted at once come with one request?

(Secrets Manager API Reference, "BatchGetSecretValue".)
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from brokerd.backends.flight import settle

MOST = 20
"""Secrets in one request."""
_GATHER_SECONDS = 0.005
Answers = Mapping[str, Mapping[str, Any]]
"""What was told of each secret that anything was told of, by the id that it was asked by."""


@dataclass
class _Batch:
    """Secrets that are wanted together.

    Attributes:
        ids: Which.
        answers: What comes of it; nothing is told of one that is alone in it.
    """

    ids: list[str] = field(default_factory=list[str])
    answers: Future[Answers] = field(default_factory=Future[Answers])


class Batches:
    """Gathers what any number of threads want within a few milliseconds.

    Args:
        ask: Asks for several secrets at once. What it tells nothing of is read by itself.
        fits: Returns whether some secrets may be in one request.
        gather: Waits for others to come.
    """

    def __init__(
        self,
        ask: Callable[[Sequence[str]], Answers],
        fits: Callable[[Sequence[str]], bool],
        gather: Callable[[], None] = lambda: time.sleep(_GATHER_SECONDS),
    ) -> None:
        self._ask, self._fits, self._gather = ask, fits, gather
        self._lock = threading.Lock()
        self._open: _Batch | None = None

    def get(self, secret_id: str) -> Mapping[str, Any] | None:
        """Return what is told of a secret; None where it is to be read by itself.

        Raises:
            BrokerError: What `ask` raises, in every thread that wanted something of it.
        """
        with self._lock:
            batch, mine = self._joined(secret_id)
        if mine:
            self._gather()
            self._send(batch)
        return batch.answers.result().get(secret_id)

    def _joined(self, secret_id: str) -> tuple[_Batch, bool]:
        """Return the batch that a secret is in now, and whether this began it."""
        batch = self._open
        if batch is not None and secret_id in batch.ids:
            return batch, False
        if batch is not None and len(batch.ids) < MOST and self._fits([*batch.ids, secret_id]):
            batch.ids.append(secret_id)
            return batch, False
        self._open = _Batch([secret_id])
        return self._open, True

    def _send(self, batch: _Batch) -> None:
        with self._lock:
            if self._open is batch:
                self._open = None
        settle(batch.answers, lambda: self._ask(batch.ids) if len(batch.ids) > 1 else {})
