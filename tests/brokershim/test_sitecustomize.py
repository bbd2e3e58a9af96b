"""The boot folder again: what it loads and when, and the next sitecustomize to the last detail."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.session import BOOT

PYTHON = sys.executable
SLOW = ("typing", "json", "re", "socket", "threading", "importlib.util", "httpx")
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Return a function that runs Python with the boot folder, in a folder of its own."""

    def made(
        *args: str, path: str = "", session: str = "s-1", cwd: Path = tmp_path, **more: str
    ) -> subprocess.CompletedProcess[str]:
        environment = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": os.pathsep.join([str(BOOT), path] if path else [str(BOOT)]),
            "BROKER_SOCKET": str(tmp_path / "none.sock"),
            **({"BROKER_SESSION": session} if session else {}),
            **more,
        }
        return subprocess.run(
            [PYTHON, *args], env=environment, cwd=cwd, capture_output=True, text=True, check=False
        )

    return made


def said(done: subprocess.CompletedProcess[str]) -> str:
    assert done.stderr == ""
    assert done.returncode == 0
    return done.stdout.strip()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder for the user's own modules, later on the path."""
    made = tmp_path / "theirs"
    made.mkdir()
    return made


def test_httpx_is_patched_when_it_is_imported_and_not_before(run: Run) -> None:
    code = f"""
import sys
print(sorted(m for m in sys.modules if m.startswith("brokershim")))
print([m for m in {SLOW} if m in sys.modules])
import httpx, httpx2
print(hasattr(httpx.Client._send_single_request, "__wrapped__"))
print(hasattr(httpx2.AsyncClient._send_single_request, "__wrapped__"))
"""
    first, second, *rest = said(run("-c", code)).splitlines()
    assert first == "['brokershim', 'brokershim.finder']"
    bare = f"import sys; print([m for m in {SLOW} if m in sys.modules])"
    assert second == said(run("-c", bare, session="")), "nothing slow is loaded for us"
    assert rest == ["True", "True"]


def test_next_sitecustomize_runs_and_takes_its_place(run: Run, folder: Path) -> None:
    (folder / "sitecustomize.py").write_text("import sys\nsys.mine = __name__, __file__\n")
    code = "import sys, sitecustomize; print(sys.mine, sitecustomize.__file__)"
    theirs = str(folder / "sitecustomize.py")
    for session in ("s-1", ""):
        out = said(run("-c", code, path=str(folder), session=session))
        assert out == f"{('sitecustomize', theirs)} {theirs}"


def test_next_sitecustomize_may_be_a_package(run: Run, folder: Path) -> None:
    (folder / "sitecustomize").mkdir()
    (folder / "sitecustomize" / "__init__.py").write_text("from sitecustomize.part import answer\n")
    (folder / "sitecustomize" / "part.py").write_text("answer = 42\n")
    assert said(run("-c", "import sitecustomize as s; print(s.answer)", path=str(folder))) == "42"


def test_error_in_the_next_sitecustomize_is_as_without_us(run: Run, folder: Path) -> None:
    (folder / "sitecustomize.py").write_text("raise LookupError('theirs')\n")
    code = "import sys; print('sitecustomize' in sys.modules, sys.path.count(''))"
    ours = run("-c", code, path=str(folder))
    alone = subprocess.run(
        [PYTHON, "-c", code],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ours.stdout, ours.stderr) == (alone.stdout, alone.stderr)
    assert "LookupError: theirs" in ours.stderr
    shim = run("-c", "import sys; print('brokershim' in sys.modules)", path=str(folder))
    assert shim.stdout == "True\n", "and the shim is there all the same"


@pytest.mark.parametrize("error", ["ImportError('x')", "SystemExit(3)", "KeyboardInterrupt"])
def test_other_ends_of_the_next_sitecustomize_are_as_without_us(
    run: Run, folder: Path, error: str
) -> None:
    (folder / "sitecustomize.py").write_text(f"raise {error}\n")
    ours = run("-c", "print('ran')", path=str(folder))
    alone = subprocess.run(
        [PYTHON, "-c", "print('ran')"],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ours.returncode, ours.stdout) == (alone.returncode, alone.stdout)
    assert ours.stderr.splitlines()[-1:] == alone.stderr.splitlines()[-1:]


def test_boot_folder_twice_or_behind_a_link_runs_once(run: Run, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(BOOT)
    path = os.pathsep.join([str(BOOT), str(link), str(link) + "/"])
    code = "import sys; print([type(f).__name__ for f in sys.meta_path].count('_Finder'))"
    assert said(run("-c", code, path=path)) == "1"


def test_app_with_a_brokershim_of_its_own_installed_gets_ours_once(run: Run, folder: Path) -> None:
    (folder / "brokershim").mkdir()
    (folder / "brokershim" / "__init__.py").write_text("raise RuntimeError('the wrong one')\n")
    code = "import brokershim; brokershim.install(); print(brokershim.__file__)"
    assert said(run("-c", code, path=str(folder))) == str(BOOT.parent / "__init__.py")


def test_shim_alone_needs_nothing_but_the_standard_library(tmp_path: Path) -> None:
    (tmp_path / "only").mkdir()
    (tmp_path / "only" / "brokershim").symlink_to(BOOT.parent)
    code = f"""
import sys
sys.path.append({str(tmp_path / "only")!r})
import pkgutil, importlib, brokershim
brokershim.install()
for module in pkgutil.walk_packages(brokershim.__path__, "brokershim."):
    if ".boot" not in module.name:
        importlib.import_module(module.name)
from brokershim.holder import of_process
from brokershim.errors import DaemonUnreachable
try:
    of_process().get("openai/dev")
except DaemonUnreachable as error:
    print(error.kind)
outside = [m for m in sys.modules.values() if "site-packages" in str(getattr(m, "__file__", ""))]
print(outside)
"""
    done = subprocess.run(
        [PYTHON, "-I", "-S", "-c", code],
        env={"BROKER_SOCKET": str(tmp_path / "none.sock")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert said(done) == "unreachable\n[]"
