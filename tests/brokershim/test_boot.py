"""The boot folder: what a Python in a session loads at its start, and what it must not disturb."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

import brokershim

BOOT = str(Path(brokershim.__file__).parent / "boot")
_PATCHED = "import httpx; print(hasattr(httpx.Client._send_single_request, '_brokershim_patched'))"


def _run(
    code: str, *path: Path, session: str = "label", options: tuple[str, ...] = (), **more: str
) -> subprocess.CompletedProcess[str]:
    """Run Python as a program of a session would be."""
    environ = {
        "PATH": os.environ["PATH"],
        "HOME": os.environ.get("HOME", "/"),
        "PYTHONPATH": os.pathsep.join([BOOT, *map(str, path)]),
        "BROKER_SESSION": session,
        **more,
    }
    command = [sys.executable, *options, "-c", code]
    return subprocess.run(command, env=environ, capture_output=True, text=True, check=False)


def _out(*args: object, **more: object) -> str:
    done = _run(*args, **more)  # type: ignore[arg-type]
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_httpx_is_patched_once_it_is_imported() -> None:
    assert _out(_PATCHED) == "True"
    assert _out(_PATCHED.replace("httpx", "httpx2")) == "True"


def test_nothing_is_loaded_or_patched_outside_a_session() -> None:
    assert _out(_PATCHED, session="") == "False"
    assert _out("import sys; print('brokershim' in sys.modules)", session="") == "False"


@pytest.mark.parametrize("session", ["label", ""])
def test_the_next_sitecustomize_runs_too(tmp_path: Path, session: str) -> None:
    (tmp_path / "sitecustomize.py").write_text("import builtins\nbuiltins.was_here = __file__\n")
    code = "import sys; print(was_here, sys.modules['sitecustomize'].__file__)"
    own = str(tmp_path / "sitecustomize.py")
    assert _out(code, tmp_path, session=session) == f"{own} {own}"


def test_an_error_in_the_next_sitecustomize_looks_as_without_us(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("raise RuntimeError('theirs')\n")
    done = _run(_PATCHED, tmp_path)
    assert done.stdout.strip() == "True"
    assert "RuntimeError: theirs" in done.stderr


def test_an_app_keeps_its_own_modules_of_our_names(tmp_path: Path) -> None:
    names = ("broker", "cli", "shim", "client", "wire", "errors", "holder", "finder", "hooks")
    for name in names:
        (tmp_path / f"{name}.py").write_text("mine = True\n")
    code = f"import httpx, {', '.join(names)}; print(all(m.mine for m in ({', '.join(names)})))"
    assert _out(code, tmp_path) == "True"


def test_nothing_but_the_boot_folder_is_added_to_what_can_be_imported() -> None:
    code = "import httpx, sys; print(sys.path)"
    with_us = ast.literal_eval(_out(code))
    without = ast.literal_eval(_out(code, PYTHONPATH=""))
    assert [path for path in with_us if path not in without] == [BOOT]


def test_a_failing_import_of_httpx_fails_as_without_us_and_may_be_tried_again(
    tmp_path: Path,
) -> None:
    (tmp_path / "httpx.py").write_text("raise ImportError('half way')\n")
    code = """
import sys
try:
    import httpx
except ImportError as error:
    print(error, 'httpx' in sys.modules)
sys.path.remove(sys.argv[1])
import httpx
print(hasattr(httpx.Client._send_single_request, '_brokershim_patched'))
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)],
        env={**os.environ, "PYTHONPATH": f"{BOOT}:{tmp_path}", "BROKER_SESSION": "label"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.split("\n")[:2] == ["half way False", "True"], done.stderr


def test_a_reload_keeps_the_patch() -> None:
    assert _out("import httpx, importlib; importlib.reload(httpx); " + _PATCHED) == "True"


@pytest.mark.parametrize("option", ["-I", "-E", "-S"])
def test_these_options_keep_it_out(option: str) -> None:
    """What `brokerctl run` refuses, and why."""
    code = "import sys; print('brokershim' in sys.modules)"
    assert _out(code, options=(option,)) == "False"


def test_a_child_process_has_it_too() -> None:
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {_PATCHED!r}])"
    assert _out(code) == "True"


def test_an_explicit_install_does_the_same_and_twice_is_no_different() -> None:
    code = (
        f"import sys; sys.path.insert(0, {str(Path(BOOT).parents[1])!r}); import httpx, brokershim"
    )
    assert _out(f"{code}; brokershim.install(); brokershim.install(); {_PATCHED}", session="") == (
        "True"
    )
