"""What is a reference, and what is a secret's name?"""

from __future__ import annotations

import pytest

from brokershim.errors import UsageError
from brokershim.reference import REFERENCE, check_name, reference


@pytest.mark.parametrize(
    "name", ["openai", "openai/dev", "a/b/c/d", "0x", "team-1/my_key.v2", "a" * 64]
)
def test_name_is_taken(name: str) -> None:
    assert check_name(name) == name
    found = REFERENCE.fullmatch(reference(name))
    assert found is not None
    assert found[1] == name


@pytest.mark.parametrize(
    "name",
    [
        "",
        "OpenAI",
        "/openai",
        "openai/",
        "a//b",
        "a/b/c/d/e",
        ".hidden",
        "-rf",
        "../etc/passwd",
        "a/../b",
        "a b",
        "a\n",
        "é",
        "a" * 65,
        "brokerref:openai/dev",
        "sk-Test0123456789",
    ],
)
def test_name_is_refused(name: str) -> None:
    with pytest.raises(UsageError):
        check_name(name)


def test_key_pasted_in_the_names_place_is_not_repeated() -> None:
    with pytest.raises(UsageError) as refused:
        check_name("sk-Test0123456789")
    assert "sk-Test" not in f"{refused.value!r} {refused.value.hint} {refused.value.details}"


def test_reference_is_found_inside_a_text() -> None:
    assert REFERENCE.findall("Bearer brokerref:openai/dev, x") == ["openai/dev"]
