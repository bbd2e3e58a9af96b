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


def live(needles: Needles) -> list[Row]:
    """Search every process; to be called while the app waits for an answer."""
    return [
        Row("environment of every process", search.in_processes(needles, "environ"), "processes"),
        Row("command line of every process", search.in_processes(needles, "cmdline"), "processes"),
    ]


def left(needles: Needles, home: str, project: str, printed: Mapping[str, str]) -> list[Row]:
    """Search what is left: the app's files one kind after the other, then simply everything."""
    rows = [
        Row(place, _files(needles, project, names), "files") for place, names in APP_FILES.items()
    ]
    return [
        *rows,
        Row("every file of the project", search.in_folders(needles, [project]), "files"),
        Row("every file of the broker", search.in_folders(needles, [home]), "files"),
        Row("all that was printed", search.in_texts(needles, printed), "outputs"),
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


def _files(needles: Needles, folder: str, names: tuple[str, ...]) -> Report:
    """Search some files; one that is not there leaves too few places."""
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
