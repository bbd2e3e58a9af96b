"""What does a command print, compared with what it is to print?

``…`` stands for anything within a line, and any run of spaces for any other.
"""

from __future__ import annotations

import json
import re
import textwrap
from typing import Any

from tests.e2e.session import Session


def shows(session: Session, command: str, pattern: str, stdin: str = "") -> None:
    """Run a command that is to succeed, and compare all that it prints."""
    done = session.run(command, stdin)
    assert done.status == 0, done
    assert like(done.stdout + done.stderr, pattern), done.stdout + done.stderr


def fails(session: Session, command: str, status: int, error: str, hint: str) -> None:
    """Run a command that is to fail, and compare its status and its two lines."""
    done = session.run(command)
    assert (done.status, done.stdout) == (status, "")
    assert like(done.stderr, f"brokerctl: error: {error}\nbrokerctl: hint: {hint}"), done.stderr


def as_json(session: Session, command: str) -> Any:
    done = session.run(f"{command} --json")
    assert done.status == 0, done
    return json.loads(done.stdout)


def like(text: str, pattern: str) -> bool:
    """Return whether a text is what a pattern shows."""
    wanted = textwrap.dedent(pattern).strip("\n").splitlines()
    lines = text.strip("\n").splitlines()
    return len(lines) == len(wanted) and all(map(_line_like, lines, wanted))


def _line_like(line: str, pattern: str) -> bool:
    parts = (re.escape(part) for part in " ".join(pattern.split()).split("…"))
    return re.fullmatch(".*".join(parts), " ".join(line.split())) is not None
