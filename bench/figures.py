"""How is a figure shown, next to what it is to reach? (Pure.)"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Figure:
    """One thing that was measured.

    Attributes:
        name: What it is.
        value: The figure.
        unit: What it counts: ``x`` for a ratio, ``us``, ``ms`` or ``MB``.
        target: The most that it is to be; None where it is only told.
        note: What it is made of.
    """

    name: str
    value: float
    unit: str
    target: float | None = None
    note: str = ""

    @property
    def reached(self) -> bool | None:
        """Whether the target is reached; None where there is none."""
        return None if self.target is None else self.value <= self.target

    def as_json(self) -> dict[str, Any]:
        """Return it for a program."""
        return {**asdict(self), "value": round(self.value, 3), "reached": self.reached}

    def line(self) -> str:
        """Return it for a person."""
        value = _number(self.value, self.unit)
        target = "" if self.target is None else f"at most {_number(self.target, self.unit)}"
        verdict = {None: "", True: "reached", False: "NOT REACHED"}[self.reached]
        return f"{self.name:<38}{value:>10}  {target:<16}{verdict:<13}{self.note}".rstrip()


def middle(samples: Sequence[float]) -> float:
    """Return the median."""
    return statistics.median(samples)


def high(samples: Sequence[float]) -> float:
    """Return the 99th percentile."""
    return statistics.quantiles(samples, n=100)[98]


def spread(samples: Sequence[float], scale: float, unit: str) -> str:
    """Return median and 99th percentile as text."""
    return f"{middle(samples) * scale:.0f} {unit} (p99 {high(samples) * scale:.0f})"


def _number(value: float, unit: str) -> str:
    digits = 1 if unit in ("MB", "ms") else 2 if unit == "x" else 0
    return f"{value:.{digits}f} {unit}"
