"""Where is the key searched for, and does the search find one that is there?"""

from __future__ import annotations

import base64
import os
import secrets
import subprocess
import sys
from collections.abc import Mapping
from typing import NamedTuple

from demo import search
from demo.forms import Needles
from demo.search import Report

APP_FILES = {
    "LiteLLM's debug log": ("debug.log", "stderr.log"),
    "what its callbacks were given": ("callbacks.log",),
    "its caches and clients": ("cache.log", "clients.log"),
    "its exceptions, printed and pickled": ("failure.log", "failure.pickle"),
}
"""What the app writes, by what it is."""


class Row(NamedTuple):
    """One line of the table."""

    place: str
    report: Report
    unit: str

    @property
    def searched(self) -> str:
        """How much was searched, and of how much."""
        places, unread = self.report.places, len(self.report.unread)
        total = f"{places} of {places + unread}" if unread else f"{places}"
        return f"{total} {plural(places + unread, self.unit)}"

    @property
    def verdict(self) -> str:
        """What came of it."""
        if self.report.found:
            return "FOUND: " + "; ".join(self.report.found)
        return "clean" if self.report.clean else "NOTHING LOOKED AT"


def live(needles: Needles) -> list[Row]:
    """Search every process; to be called while the app waits for an answer."""
    return [
        Row("environment of every process", search.in_processes(needles, "environ"), "process"),
        Row("command line of every process", search.in_processes(needles, "cmdline"), "process"),
    ]


def left(needles: Needles, root: str, project: str, printed: Mapping[str, str]) -> list[Row]:
    """Search what is left: the app's files one kind after the other, then everything there is."""
    rows = [
        Row(place, _files(needles, project, names), "file") for place, names in APP_FILES.items()
    ]
    return [
        *rows,
        Row("every file that was written", search.in_folders(needles, [root]), "file"),
        Row("all that was printed", search.in_texts(needles, printed), "output"),
    ]


def control(folder: str) -> tuple[int, int]:
    """Plant a decoy where a key must not be, and return in how many places, and how many found."""
    decoy = "sk-decoy-" + secrets.token_hex(16)
    needles = Needles([decoy])
    os.mkdir(folder)
    _plant(os.path.join(folder, "clear.txt"), f"KEY={decoy}\n")
    _plant(os.path.join(folder, "basic.log"), base64.b64encode(f"me:{decoy}".encode()).decode())
    with _holding(decoy):
        reports = [row.report for row in live(needles)]
    reports.append(search.in_folders(needles, [folder]))
    return 4, sum(len(report.found) for report in reports)


def plural(count: int, noun: str) -> str:
    """Return a noun in the number that goes with a count."""
    return noun if count == 1 else f"{noun}es" if noun.endswith("s") else f"{noun}s"


def _files(needles: Needles, folder: str, names: tuple[str, ...]) -> Report:
    """Search some files, all of which must be there."""
    texts: dict[str, str] = {}
    for name in names:
        with open(os.path.join(folder, name), errors="surrogateescape") as file:
            texts[name] = file.read()
    return search.in_texts(needles, texts)


def _plant(path: str, text: str) -> None:
    with open(path, "w") as file:
        file.write(text)


def _holding(decoy: str) -> subprocess.Popen[bytes]:
    """Start a process with the decoy in its environment and on its command line."""
    waiting = "import sys; print(flush=True); sys.stdin.read()"
    process = subprocess.Popen(
        [sys.executable, "-I", "-c", waiting, decoy],
        env={"KEY": decoy},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    process.stdout.readline()  # from here on the kernel shows what it was started with
    return process
