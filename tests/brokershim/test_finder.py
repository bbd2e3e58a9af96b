"""A library is patched just after its import, whoever else has a hand in that."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

FAKE = """
class SyncByteStream: ...
class AsyncByteStream: ...
class Client:
    def _send_single_request(self, request): ...
class AsyncClient:
    async def _send_single_request(self, request): ...
"""
CHECK = """
def patched():
    import httpx
    return all(hasattr(c._send_single_request, "__wrapped__")
               for c in (httpx.Client, httpx.AsyncClient))
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with an httpx of a few lines."""
    (tmp_path / "httpx.py").write_text(FAKE)
    (tmp_path / "check.py").write_text(CHECK)
    return tmp_path


def run(folder: Path, code: str) -> list[str]:
    """Run code that imports the httpx of the folder; return the lines that it prints."""
    start = f"import sys; sys.path.insert(0, {str(folder)!r})\nimport check, brokershim\n"
    done = subprocess.run(
        [sys.executable, "-c", start + textwrap.dedent(code)],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout.splitlines()


def test_imported_later(folder: Path) -> None:
    assert run(folder, "brokershim.install(); print(check.patched())") == ["True"]


def test_imported_already(folder: Path) -> None:
    assert run(folder, "import httpx; brokershim.install(); print(check.patched())") == ["True"]


def test_not_installed_is_not_patched(folder: Path) -> None:
    assert run(folder, "print(check.patched())") == ["False"]


def test_installing_twice_leaves_one_finder_and_one_patch(folder: Path) -> None:
    code = """
    before = len(sys.meta_path)
    brokershim.install(); brokershim.install()
    import httpx
    brokershim.install()
    print(len(sys.meta_path) - before)
    print(hasattr(httpx.Client._send_single_request.__wrapped__, "__wrapped__"))
    """
    assert run(folder, code) == ["1", "False"]


def test_module_looks_as_it_would_without_us(folder: Path) -> None:
    show = """
    import httpx
    print(type(httpx.__loader__).__name__, type(httpx.__spec__.loader).__name__)
    print(httpx.__spec__.loader is httpx.__loader__, httpx.__file__, httpx.__spec__.origin)
    import inspect; print(len(inspect.getsource(httpx)))
    """
    assert run(folder, "\n    brokershim.install()" + show) == run(folder, show)


def test_reload_is_patched_again(folder: Path) -> None:
    code = """
    brokershim.install()
    import httpx, importlib
    first = httpx.Client
    importlib.reload(httpx)
    print(httpx.Client is first, check.patched())
    """
    assert run(folder, code) == ["False True"]


def test_import_that_failed_half_way_can_be_tried_again(folder: Path) -> None:
    (folder / "httpx.py").write_text(
        "import os\nif not os.environ.get('READY'): raise LookupError('half way')\n" + FAKE
    )
    code = """
    import os
    brokershim.install()
    try:
        import httpx
    except LookupError as error:
        print(error, "httpx" in sys.modules)
    os.environ["READY"] = "1"
    print(check.patched())
    """
    assert run(folder, code) == ["half way False", "True"]


def test_missing_library_is_missing_as_ever(folder: Path) -> None:
    (folder / "httpx.py").unlink()
    code = """
    sys.path[:] = [p for p in sys.path if "site-packages" not in p]
    brokershim.install()
    try:
        import httpx
    except ModuleNotFoundError as error:
        print(error)
    """
    assert run(folder, code) == ["No module named 'httpx'"]


HOOK = """
class Hook:  # as wrapt and opentelemetry do it: it asks everybody else, in turn
    def __init__(self):
        self.busy = False
    def find_spec(self, name, path, target=None):
        if name != "httpx" or self.busy:
            return None
        self.busy = True
        try:
            spec = importlib.util.find_spec(name)
        finally:
            self.busy = False
        real = spec.loader
        class Loader:
            def create_module(self, spec):
                return real.create_module(spec)
            def exec_module(self, module):
                real.exec_module(module)
                module.hooked = True
        spec.loader = Loader()
        return spec
"""


@pytest.mark.parametrize("place", ["0", "len(sys.meta_path)", "1"])
def test_other_hook_of_the_same_kind(folder: Path, place: str) -> None:
    (folder / "hook.py").write_text("import importlib.util" + HOOK)
    code = f"""
    import hook
    brokershim.install()
    sys.meta_path.insert({place}, hook.Hook())
    import httpx
    print(check.patched(), getattr(httpx, "hooked", False))
    """
    hooked = place != "len(sys.meta_path)"  # behind PathFinder nobody asks it
    assert run(folder, code) == [f"True {hooked}"]


def test_other_hook_that_asks_every_finder_but_itself(folder: Path) -> None:
    """Two such hooks ask each other, endlessly, if neither remembers that it has asked."""
    code = """
    class Hook:
        def find_spec(self, name, path, target=None):
            if name != "httpx":
                return None
            found = (f.find_spec(name, path, target) for f in sys.meta_path if f is not self)
            return next((spec for spec in found if spec), None)
    brokershim.install()
    sys.meta_path.insert(1, Hook())
    print(check.patched())
    """
    assert run(folder, code) == ["True"]


def test_finders_without_find_spec_are_passed_over(folder: Path) -> None:
    code = """
    class Old:  # Python warns of it up to 3.11, and passes it over later
        def find_module(self, name, path=None): ...
    sys.meta_path.insert(0, Old())
    brokershim.install()
    print(check.patched())
    """
    assert run(folder, "\n    import warnings; warnings.simplefilter('ignore')" + code) == ["True"]


def test_looking_for_the_module_does_not_import_it(folder: Path) -> None:
    code = """
    import importlib.util
    brokershim.install()
    spec = importlib.util.find_spec("httpx")
    print(spec.origin == sys.path[0] + "/httpx.py", "httpx" in sys.modules)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    sys.modules["httpx"] = module
    print(check.patched())
    """
    assert run(folder, code) == ["True False", "True"]


def test_library_from_a_zip(folder: Path) -> None:
    code = """
    import os, zipfile
    with zipfile.ZipFile("a.zip", "w") as made:
        made.write("httpx.py")
    os.unlink("httpx.py")
    sys.path.insert(0, os.path.abspath("a.zip"))
    brokershim.install()
    print(check.patched(), "a.zip" in sys.modules["httpx"].__file__)
    """
    assert run(folder, code) == ["True True"]


def test_many_threads_import_it_at_once(folder: Path) -> None:
    code = """
    import threading
    brokershim.install()
    seen = []
    threads = [threading.Thread(target=lambda: seen.append(check.patched())) for _ in range(20)]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
    print(set(seen))
    """
    assert run(folder, code) == ["{True}"]


def test_alias_of_httpx2_is_patched_as_what_it_is() -> None:
    code = """
    import brokershim; brokershim.install()
    import httpx2; httpx2.alias_httpx()
    import httpx
    print(httpx is httpx2, hasattr(httpx.Client._send_single_request, "__wrapped__"))
    print(hasattr(httpx.Client._send_single_request.__wrapped__, "__wrapped__"))
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=True
    )
    assert done.stdout == "True True\nFalse\n"


def test_botocore_is_patched_once_it_can_send(folder: Path) -> None:
    code = """
    brokershim.install()
    import botocore
    print([name for name in sys.modules if name.startswith("brokershim.")])
    import botocore.httpsession
    print(hasattr(botocore.httpsession.URLLib3Session.send, "__wrapped__"))
    """
    assert run(folder, code) == ["['brokershim.finder']", "True"]
