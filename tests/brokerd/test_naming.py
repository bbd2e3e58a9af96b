from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brokerd.naming import check_name
from brokerd.providers import looks_like_key
from brokershim.errors import UsageError
from brokershim.reference import SECRET_NAME


@pytest.mark.parametrize(
    "name",
    ["openai", "openai/dev", "a/b/c/d", "together_ai/team-1.prod", "azure/0123456789abcdef",
     "sk-dev", "mistral/sk-short", "0"],
)  # fmt: skip
def test_a_name_stays_as_it_is(name: str) -> None:
    assert check_name(name) == name


@pytest.mark.parametrize(
    "key",
    ["sk-0123456789abcdef0123456789abcdef", "openai/sk-0123456789abcdef0123456789abcdef",
     "csk-abcdefghij0123456789abcdefghij", "0123456789abcdef0123456789abcdef",
     "azure/0123456789abcdef0123456789abcdef", "sk-proj-Ab0123456789012345678901", "",
     "Openai/dev", "a//b", "a/b/c/d/e", "/a", "a/", "a b", "a\n", "..", "-a", "ä",
     "hf_abcdefghijklmnopqrstuvwxyz0123456789"],
)  # fmt: skip
def test_a_key_or_what_is_no_name_is_refused_and_not_repeated(key: str) -> None:
    with pytest.raises(UsageError) as refused:
        check_name(key)
    assert not key or key not in str(refused.value.to_wire())


@given(st.text(alphabet="abcdef0123456789sk-/_", max_size=60))
def test_nothing_that_looks_like_a_key_is_a_name(text: str) -> None:
    try:
        check_name(text)
    except UsageError:
        return
    assert SECRET_NAME.fullmatch(text)
    assert not looks_like_key(text)
