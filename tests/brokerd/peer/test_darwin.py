"""macOS's module is not run here: that it fits where Linux's does can still be told."""

from __future__ import annotations

import ast
import struct
from pathlib import Path

import brokerd.peer

_FOLDER = Path(brokerd.peer.__file__).parent
_SHARED = {"PINNED_BY", "Peer", "prepare"}


def _module(name: str) -> ast.Module:
    return ast.parse((_FOLDER / name).read_text())


def _names(body: list[ast.stmt]) -> set[str]:
    found = {each.name for each in body if isinstance(each, (ast.FunctionDef, ast.ClassDef))}
    for each in body:
        if isinstance(each, ast.Assign):
            found |= {target.id for target in each.targets if isinstance(target, ast.Name)}
    return {name for name in found if not name.startswith("_") or name == "__init__"}


def _signatures(module: ast.Module) -> dict[str, str]:
    peer = next(e for e in module.body if isinstance(e, ast.ClassDef) and e.name == "Peer")
    return {
        each.name: f"{ast.unparse(each.args)} -> {each.returns and ast.unparse(each.returns)}"
        for each in peer.body
        if isinstance(each, ast.FunctionDef) and (each.name[0] != "_" or each.name == "__init__")
    }


def test_both_platforms_offer_the_same_names() -> None:
    for name in ("_linux.py", "_darwin.py"):
        assert _names(_module(name).body) == _SHARED, name


def test_both_peers_have_the_same_methods() -> None:
    linux, darwin = _signatures(_module("_linux.py")), _signatures(_module("_darwin.py"))
    assert linux == darwin
    assert {"alive", "ancestors", "in_foreground", "receive"} <= set(linux)


def test_the_structs_have_the_sizes_of_apples_headers() -> None:
    """sys/ucred.h: 76 bytes. sys/proc_info.h: PROC_PIDTBSDINFO_SIZE is 136."""
    formats = [
        each.args[0].value
        for each in ast.walk(_module("_darwin.py"))
        if isinstance(each, ast.Call)
        and ast.unparse(each.func) == "struct.Struct"
        and isinstance(each.args[0], ast.Constant)
    ]
    assert sorted(struct.calcsize(str(each)) for each in formats) == [76, 136]
