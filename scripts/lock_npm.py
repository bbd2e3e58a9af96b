"""Lock the npm packages of tests/real (`make lock`), or check the lock offline (`--check`).

Pins that still fit are kept. The lock names versions and digests, and no address: where packages
come from is a matter of the machine that installs them.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "tests" / "real"
LOCK = FOLDER / "package-lock.json"


def packages(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the locked packages by their folder, without the project itself."""
    return {name: each for name, each in document["packages"].items() if name}


def lock() -> None:
    """Write the lock file, without what npm adds for people to look at."""
    subprocess.run([ROOT / "scripts" / "npm.sh", "install", "--package-lock-only"], check=True)
    document = json.loads(LOCK.read_text())
    for each in packages(document).values():
        each.pop("funding", None)
    LOCK.write_text(json.dumps(document, indent=2) + "\n")


def problems() -> list[str]:
    """Say what is wrong with the lock file, or with what it locks."""
    text = LOCK.read_text()
    document = json.loads(text)
    asked = json.loads((FOLDER / "package.json").read_text())["dependencies"]
    found = [
        f"no hash for {name}"
        for name, each in packages(document).items()
        if not each.get("integrity", "").startswith("sha512-")
    ]
    if document["packages"][""]["dependencies"] != asked:
        found.append("older than package.json: run `make lock`")
    if "://" in text + (FOLDER / ".npmrc").read_text():
        found.append("an address: run `make lock`")
    return [f"tests/real/package-lock.json: {each}" for each in found]


def check() -> None:
    """Check the lock file; exit with what is wrong."""
    if found := problems():
        sys.exit("\n".join(found))
    print(f"{len(packages(json.loads(LOCK.read_text())))} npm packages are locked")


if __name__ == "__main__":
    check() if sys.argv[1:] == ["--check"] else lock()
