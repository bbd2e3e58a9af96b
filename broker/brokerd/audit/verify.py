"""Is the log all there, and as it was written? (Reads; changes nothing.)

Found: a line edited, removed, moved, repeated or torn, a file removed or added, a tail cut off,
modes that let others in. Not found without a head from elsewhere: a rewrite of everything after
some line, the anchor too, by someone of the same user, as the chain has no key (see the package).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

from brokerd.audit import anchor, segments
from brokerd.audit.chain import Chain, Witness
from brokerd.audit.line import AuditHead
from brokershim.errors import InsecurePath
from brokershim.ownership import check_private_dir, open_private

MAX_PROBLEMS = 1000
"""Where to stop: a large file of rubbish must not fill the memory with complaints."""


class Problem(NamedTuple):
    """One thing that is wrong.

    Attributes:
        file: A name in the log's folder; empty for the folder itself.
        line: From 1; 0 where it is about the file.
        what: What it is, beginning with one of ``edited``, ``missing``, ``moved``, ``repeated``,
            ``rewritten``, ``torn``, ``truncated``, ``empty``, ``unknown``, ``loose``,
            ``unreadable``, ``stopped``.
    """

    file: str
    line: int
    what: str


@dataclass(frozen=True)
class VerifyReport:
    """What a look at the whole log found.

    Attributes:
        files: How many files it has.
        events: How many events are in their place.
        head: Where it stands.
        problems: What is wrong, in the order of the log; empty where all is well.
    """

    files: int
    events: int
    head: AuditHead
    problems: tuple[Problem, ...]


def verify(
    folder: str, head: AuditHead | None = None, noted: AuditHead | None = None
) -> VerifyReport:
    """Check every line of a log. Uses constant memory.

    Args:
        folder: The log's folder.
        head: Where the log stood a moment ago, from the daemon that is writing it. A last line
            without a line feed is then no problem: it is being written.
        noted: Where the log stood at some time, from a note that was kept elsewhere.

    Returns:
        What was found; nothing is raised for what is wrong.
    """
    # The anchor is read first: a daemon may be writing on, and the log must not be behind it.
    witnesses, problems = _witnesses(folder, head, noted)
    chain = Chain(*witnesses)
    try:
        check_private_dir(folder)
        names = sorted(os.listdir(folder))
    except (OSError, InsecurePath) as error:
        return VerifyReport(0, 0, chain.head, (*problems, _trouble("", error)))
    numbers = sorted(number for name in names if (number := segments.number_of(name)) is not None)
    walk = _all_problems(folder, names, numbers, chain, live=head is not None)
    problems += islice(walk, MAX_PROBLEMS)
    if len(problems) >= MAX_PROBLEMS:
        problems.append(Problem("", 0, f"stopped: there are {MAX_PROBLEMS} problems or more"))
    return VerifyReport(len(numbers), chain.events, chain.head, tuple(problems))


def _witnesses(
    folder: str, head: AuditHead | None, noted: AuditHead | None
) -> tuple[list[Witness], list[Problem]]:
    given = (("the daemon", head), ("the note", noted))
    known = [Witness(name, place) for name, place in given if place is not None]
    try:
        place = anchor.read_anchor(folder)
    except (OSError, InsecurePath) as error:
        return known, [_trouble(anchor.NAME, error)]
    if place is None:
        return known, [Problem(anchor.NAME, 0, "edited: it does not say where the log ends")]
    return [*known, Witness("the anchor", place)], []


def _all_problems(
    folder: str, names: list[str], numbers: list[int], chain: Chain, *, live: bool
) -> Iterator[Problem]:
    for name in names:
        yield from _problems_of_name(folder, name)
    yield from _missing_files(numbers)
    for number in numbers:
        last = number == numbers[-1]
        yield from _problems_of_file(folder, number, chain, last=last, live=live and last)
    for what in chain.end():
        yield Problem(segments.name_of(max(numbers, default=1)), 0, what)


def _problems_of_name(folder: str, name: str) -> Iterator[Problem]:
    if segments.number_of(name) is None and name != anchor.NAME:
        yield Problem(name, 0, "unknown: it is not part of the log")
        return
    try:
        os.close(open_private(os.path.join(folder, name)))
    except (OSError, InsecurePath) as error:
        yield _trouble(name, error)


def _missing_files(numbers: list[int]) -> Iterator[Problem]:
    for before, number in zip([0, *numbers], numbers, strict=False):
        if number > before + 1:
            first, last = segments.name_of(before + 1), segments.name_of(number - 1)
            yield Problem(first, 0, f"missing: the log's files from {first} to {last}")


def _problems_of_file(
    folder: str, number: int, chain: Chain, *, last: bool, live: bool
) -> Iterator[Problem]:
    name, index = segments.name_of(number), 0
    try:
        fd = open_private(os.path.join(folder, name), forbidden=0)  # loose modes are named already
    except (OSError, InsecurePath):
        return  # so is what cannot be opened, and the chain says which lines that were
    try:
        with open(fd, "rb") as file:
            for index, line in enumerate(segments.lines_of(file), 1):
                if line.endswith(b"\n"):
                    yield from (Problem(name, index, what) for what in chain.take(line[:-1]))
                elif not live:
                    yield Problem(name, index, "torn: the line has no end")
    except OSError as error:
        yield _trouble(name, error)
    if not index and not last:
        yield Problem(name, 0, "empty: another file follows, so it held lines")


def _trouble(name: str, error: OSError | InsecurePath) -> Problem:
    if isinstance(error, InsecurePath):
        return Problem(name, 0, f"loose: {error.message}")
    if isinstance(error, FileNotFoundError):
        return Problem(name, 0, "missing: there is no such file")
    return Problem(name, 0, f"unreadable: {error.strerror}")
