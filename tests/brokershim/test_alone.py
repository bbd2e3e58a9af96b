"""The shim installs alone: one wheel, no dependency, nothing but the standard library."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

SHIM = Path(__file__).parents[2] / "shim"
# Every module, with no site-packages, no environment and no working folder to import from.
_IMPORT_ALL = """
import importlib, pkgutil, sys
sys.path.insert(0, sys.argv[1])
import brokershim
names = [each.name for each in pkgutil.walk_packages(brokershim.__path__, "brokershim.")]
for name in names:
    importlib.import_module(name)
assert brokershim.__file__.startswith(sys.argv[1]), brokershim.__file__
foreign = {name.partition(".")[0] for name in sys.modules} - set(sys.stdlib_module_names) \\
    if sys.version_info >= (3, 10) else {"brokershim"}
print(len(names), sorted(foreign - {"__main__", "sitecustomize", "_sitebuiltins"}))
"""
_NEWER = ("python3.9", "python3.10", "python3.11", "python3.12", "python3.13")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel of the shim alone."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    done = subprocess.run(command, cwd=SHIM, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    [built] = folder.glob("brokershim-*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Unpack it, which is all that installing it does."""
    folder = tmp_path_factory.mktemp("installed")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


def test_it_asks_for_nothing_and_brings_its_boot_folder(installed: Path) -> None:
    [metadata] = installed.glob("brokershim-*.dist-info/METADATA")
    lines = metadata.read_text().splitlines()
    assert "Name: brokershim" in lines
    assert not [line for line in lines if line.startswith("Requires-Dist")]
    assert (installed / "brokershim" / "boot" / "sitecustomize.py").is_file()
    assert {each.name.partition("-")[0] for each in installed.iterdir()} == {"brokershim"}


def _pythons() -> list[str]:
    """Return this Python, and the others from 3.9 on that this machine has."""
    root = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    named = [path for name in _NEWER if (path := shutil.which(name))]
    kept = [str(path) for name in _NEWER for path in root.glob(f"versions/*/bin/{name}")]
    return [sys.executable, *filter(_answers, [*named, *kept])]


def _answers(python: str) -> bool:
    """Return whether it is a Python, and not a stand-in for one that is not there."""
    return subprocess.run([python, "-c", ""], capture_output=True, check=False).returncode == 0


def test_every_module_imports_from_the_standard_library_alone(installed: Path) -> None:
    for python in _pythons():
        command = [python, "-I", "-S", "-c", _IMPORT_ALL, str(installed)]
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, env=dict(os.environ)
        )
        assert done.returncode == 0, (python, done.stderr)
        count, foreign = done.stdout.split(" ", 1)
        assert int(count) > 15, python
        assert foreign.strip() == "['brokershim']", python
