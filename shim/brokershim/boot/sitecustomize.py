"""How does the shim get into an app that knows nothing of it?

`brokerctl run` puts this file's folder at the front of PYTHONPATH, and Python's `site` imports
``sitecustomize`` at start (https://docs.python.org/3/library/site.html). It may be any Python from
3.6 on, and the start of each one waits for it: hence the old syntax, and only imports that cost
nothing. What would have been imported without us is imported all the same.
"""

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_HERE = os.path.realpath(__file__)
_PACKAGE = os.path.dirname(os.path.dirname(_HERE))


def _load(spec: "Any") -> "Any":
    # As in importlib.util.module_from_spec, whose import would take longer than all of this.
    module = spec.loader.create_module(spec) or type(sys)(spec.name)
    module.__spec__ = spec
    module.__loader__ = spec.loader
    module.__file__ = spec.origin
    module.__package__ = spec.parent
    if spec.submodule_search_locations is not None:
        module.__path__ = spec.submodule_search_locations
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def _install() -> None:
    # By its path: beside the package may stand the broker's own dependencies, and the app must
    # see none of them.
    if "brokershim" not in sys.modules:
        path = os.path.join(_PACKAGE, "__init__.py")
        own = globals()["__spec__"]
        loader = type(own.loader)("brokershim", path)
        spec = type(own)("brokershim", loader, origin=path, is_package=True)
        spec.has_location = True
        spec.submodule_search_locations = [_PACKAGE]
        _load(spec)
    sys.modules["brokershim"].install()


def _next() -> "Any":
    for path in sys.path:
        for finder in sys.meta_path:
            find = getattr(finder, "find_spec", None)
            spec = find and find("sitecustomize", [path])
            if spec and spec.origin and os.path.realpath(spec.origin) != _HERE:
                return spec
    return None


try:
    if os.environ.get("BROKER_SESSION"):
        if sys.version_info >= (3, 9):  # noqa: UP036 - whatever the app runs on
            _install()
        else:
            sys.stderr.write("brokershim: needs Python 3.9; references are not swapped for keys\n")
finally:
    _following = _next()
    if _following:
        _load(_following)
