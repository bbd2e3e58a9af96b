"""Every claim of SECURITY.md has a test that attacks it, and every attack stands for a claim."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.security.claims import problems

_HERE = Path(__file__)
_SECURITY_MD = _HERE.parents[2] / "SECURITY.md"
_PLANTED = """# Security
1. No claim, this list stands above them.

## Claims
1. **The first.** It has
   2. lines of which one looks like a number.
2. **The second.**

## Later
3. No claim either.
"""
_TESTS = "def test_claim_01_holds(): ...\nclass Test:\n    def test_claim_02_holds(self): ...\n"


def test_every_claim_is_tested_and_every_test_names_a_claim() -> None:
    sources = {
        path.name: path.read_text() for path in _HERE.parent.glob("test_*.py") if path != _HERE
    }
    assert problems(_SECURITY_MD.read_text(), sources) == []


def test_a_document_whose_claims_are_tested_passes() -> None:
    assert problems(_PLANTED, {"test_it.py": _TESTS}) == []


@pytest.mark.parametrize(
    ("document", "source", "found"),
    [
        (_PLANTED, _TESTS.replace("_02_", "_01_"), "claim 2 has no test"),
        (_PLANTED, _TESTS + "def test_more(): ...", "test_it.py: test_more names no claim"),
        (
            _PLANTED,
            _TESTS + "async def test_claim_03_x(): ...",
            "test_it.py: test_claim_03_x names claim 3, which there is none of",
        ),
        (
            _PLANTED.replace("2. **The second", "4. **The second"),
            _TESTS.replace("_02_", "_04_"),
            "the claims are not numbered from 1 on: [1, 4]",
        ),
        (_PLANTED.replace("## Claims", "## Promises"), "", "there is no list of claims"),
    ],
)
def test_a_document_with_a_gap_does_not(document: str, source: str, found: str) -> None:
    assert [each for each in problems(document, {"test_it.py": source}) if found in each]
