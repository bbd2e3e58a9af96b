"""What is a person shown of a broker.toml before it is trusted?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from brokerctl.replies import field, mapping

_STATES = {
    "new": "was never trusted",
    "changed": "has changed since it was trusted",
    "allowed": "is trusted",
}


def describe(facts: Mapping[str, Any]) -> list[str]:
    """Return the lines that say what a broker.toml asks for.

    Args:
        facts: What `project.show` answers, or the details of `ProjectNotAllowed`.

    Raises:
        MalformedRequest: They lack something.
    """
    state = field(facts, "state", str)
    asked = mapping(facts, "env")
    width = max(map(len, asked), default=0)
    return [
        f"{field(facts, 'path', str)} {_STATES.get(state, state)}. It asks for:",
        *(f"  {variable.ljust(width)}  {secret}" for variable, secret in sorted(asked.items())),
    ]
