from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any, cast
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brokerd.service import verbs as module
from brokerd.service.opening import Opening
from brokerd.service.parts import Caller
from brokerd.service.verbs import Verbs
from brokershim.errors import InvalidParams, UnknownMethod
from tests.support.daemon import REPOSITORY
from tests.support.serving import in_a_loop

_CALLER = cast(Caller, object())


class _Everything:
    """A verb with a parameter of each type, that returns what it was given."""

    async def verb(
        self,
        caller: Caller,
        *,
        text: str,
        whole: int = 0,
        number: float = 0.0,
        switch: bool = False,
        maybe: str | None = None,
        names: list[str] | None = None,
        env: dict[str, str] | None = None,
    ) -> dict[str, Any]:
        del caller
        return {key: value for key, value in locals().items() if key != "self"}


def _verbs() -> Verbs:
    parts = mock.Mock()
    found = Verbs(parts, mock.Mock(), Opening(parts))
    found._methods = {**found._methods, "all": module._method(_Everything().verb)}
    return found


_FITTING: dict[str, list[Any]] = {
    "text": ["", "x", "漢", "a\nb"],
    "whole": [0, -1, 2**60],
    "number": [0, 1.5, -3, 2**52],
    "switch": [True, False],
    "maybe": [None, "x"],
    "names": [None, [], ["a", "b"]],
    "env": [None, {}, {"A": "b"}],
}
_NOT_FITTING: dict[str, list[Any]] = {
    "text": [None, 1, True, ["x"], {}, "a\0b"],
    "whole": [None, True, False, 1.0, "1", [1]],
    "number": [None, True, "1", [1.0], float("inf"), -float("inf"), 10**400],
    "switch": [None, 0, 1, "true", []],
    "maybe": [1, True, [], "\0"],
    "names": ["a", ("a",), [1], [None], [["a"]], {"a": "b"}, ["a", "b\0"]],
    "env": [[], "A", {"A": 1}, {"A": None}, {"A": ["b"]}, {"A\0": "b"}, {"A": "b\0"}],
}


@in_a_loop
async def test_what_fits_arrives() -> None:
    for name, values in _FITTING.items():
        for value in values:
            found = await _verbs().call(_CALLER, "all", {"text": "x", name: value})
            assert found[name] == value


@in_a_loop
async def test_what_does_not_fit_is_refused_by_its_name() -> None:
    for name, values in _NOT_FITTING.items():
        for value in values:
            with pytest.raises(InvalidParams, match=f"^{name} has the wrong type$"):
                await _verbs().call(_CALLER, "all", {"text": "x", name: value})


@in_a_loop
async def test_a_missing_or_unknown_parameter_is_named() -> None:
    with pytest.raises(InvalidParams, match=r"^missing: text$"):
        await _verbs().call(_CALLER, "all", {})
    for name in ("caller", "self", "x", "text ", "x" * 60_000):
        with pytest.raises(InvalidParams, match=r"^unknown parameter") as refused:
            await _verbs().call(_CALLER, "all", {"text": "x", name: "y"})
        assert len(refused.value.message) < 100


@in_a_loop
async def test_an_unknown_method_is_named_but_not_at_length() -> None:
    for name in ("", "call", "_methods", "lease.__class__", "x" * 60_000):
        with pytest.raises(UnknownMethod) as refused:
            await _verbs().call(_CALLER, name, {})
        assert len(refused.value.message) < 100


@given(st.dictionaries(st.text(max_size=8), st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=2), inner),
    max_leaves=4,
), max_size=3))  # fmt: skip
@in_a_loop
async def test_no_parameters_whatever_lead_to_another_error(params: dict[str, Any]) -> None:
    try:
        await _verbs().call(_CALLER, "all", params)
    except InvalidParams:
        return
    assert "text" in params


def test_the_methods_are_those_of_the_protocol_with_their_parameters() -> None:
    text = (REPOSITORY / "docs" / "protocol.md").read_text()
    described = re.findall(r"\*\*`([a-z]+\.[a-z]+)`\*\* `(\{[^`]*\})`((?: or `\{[^`]*\}`)?)", text)
    methods = {name: found for name, found in _verbs()._methods.items() if name != "all"}
    assert {name for name, *_ in described} - {"lease.revoked", "secret.rotated"} == set(methods)
    for name, first, second in described:
        if name in methods:
            words = re.findall(r"([a-z_0-9]+)(\??)[,}:]", first + second)
            assert {word for word, _ in words} - {"true"} == set(methods[name].types), name


def test_every_verb_is_one_line_of_help() -> None:
    for name, method in _verbs()._methods.items():
        if name != "all":
            assert inspect.getdoc(method.verb), name
    assert Path(module.__file__).name == "verbs.py"
