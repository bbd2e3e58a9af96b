"""Which claims does SECURITY.md make, and does each have a test, and each test a claim? (Pure.)"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping

_HEADING = "## Claims"
_CLAIM = re.compile(r"(\d+)\. \S")
_TEST = re.compile(r"test_claim_(\d\d)_\w+")


def problems(document: str, sources: Mapping[str, str]) -> list[str]:
    """Return what is wrong, one line each; nothing where all is well.

    Args:
        document: The text of SECURITY.md.
        sources: The test files of the claims by name, as text.
    """
    claimed = _claims(document)
    tested = [(name, where) for where, source in sources.items() for name in _tests(source)]
    return [
        *_misnumbered(claimed),
        *_untested(claimed, [name for name, _ in tested]),
        *_astray(claimed, tested),
    ]


def _claims(document: str) -> list[int]:
    """Return the numbers of the list under the heading, as they stand."""
    _, found, after = document.partition(f"\n{_HEADING}\n")
    body = after.partition("\n## ")[0]
    return [int(each[1]) for each in map(_CLAIM.match, body.splitlines()) if each and found]


def _tests(source: str) -> Iterator[str]:
    """Yield the names of all functions that pytest would run."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.name[:4] == "test":
            yield node.name


def _misnumbered(claimed: list[int]) -> Iterator[str]:
    if not claimed:
        yield f"there is no list of claims under {_HEADING!r}"
    if claimed != list(range(1, len(claimed) + 1)):
        yield f"the claims are not numbered from 1 on: {claimed}"


def _untested(claimed: list[int], names: list[str]) -> Iterator[str]:
    proven = {int(each[1]) for each in map(_TEST.fullmatch, names) if each}
    for number in claimed:
        if number not in proven:
            yield f"claim {number} has no test"


def _astray(claimed: list[int], tested: list[tuple[str, str]]) -> Iterator[str]:
    for name, where in tested:
        found = _TEST.fullmatch(name)
        if found is None:
            yield f"{where}: {name} names no claim"
        elif int(found[1]) not in claimed:
            yield f"{where}: {name} names claim {int(found[1])}, which there is none of"
