"""How are httpx, httpx2 and botocore changed just after the app imports them, and not before?

This is imported at the start of every interpreter of a session, so it imports nothing that Python
has not loaded by then; ``typing`` alone would take longer than all the rest.
"""

from __future__ import annotations

import sys
from _thread import get_ident

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType
    from typing import Any

_PATCHED = {
    "httpx": "brokershim.hooks.httpx_hook",
    "httpx2": "brokershim.hooks.httpx_hook",
    "botocore.httpsession": "brokershim.hooks.botocore_hook",
}
"""Modules of the app, and ours that patch them."""


def install() -> None:
    """Patch the libraries that are loaded, and see to the others once they are."""
    if any(isinstance(finder, _Finder) for finder in sys.meta_path):
        return
    sys.meta_path.insert(0, _Finder())
    for name in _PATCHED:
        module = sys.modules.get(name)
        if module is not None:
            _patch(module)


def _patch(module: Any) -> None:
    from importlib import import_module

    from brokershim.holder import of_process

    import_module(_PATCHED[module.__name__]).patch(module, of_process())


class _Finder:
    """Finds what the other finders find, and has it patched after it was loaded."""

    def __init__(self) -> None:
        self._searching: set[tuple[int, str]] = set()

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return the others' spec with a loader of ours around theirs (PEP 451)."""
        search = (get_ident(), name)
        if name not in _PATCHED or search in self._searching:
            return None
        self._searching.add(search)  # another hook like this one would ask us again, endlessly
        try:
            spec = self._ask_others(name, path, target)
        finally:
            self._searching.discard(search)
        if spec is not None and hasattr(spec.loader, "exec_module"):
            spec.loader = _Loader(spec.loader)  # type: ignore[assignment]
        return spec

    def _ask_others(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None
    ) -> ModuleSpec | None:
        for finder in list(sys.meta_path):
            find = None if finder is self else getattr(finder, "find_spec", None)
            spec: ModuleSpec | None = find(name, path, target) if find else None
            if spec is not None:
                return spec
        return None


class _Loader:
    """A module's own loader, and the patch after it. Then the module has its own loader again."""

    def __init__(self, loader: Any) -> None:
        self._loader = loader

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)

    def exec_module(self, module: Any) -> None:
        """Run the module's code, then patch it."""
        module.__spec__.loader = module.__loader__ = self._loader
        self._loader.exec_module(module)
        _patch(module)
