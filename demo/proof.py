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
_PLANTED = 4


class Row(NamedTuple):
    """One line of the table.

    Attributes:
        place: Where was searched.
        searched: How much of it.
        verdict: What came of it.
        good: Whether that is as it should be.
    """

    place: str
    searched: str
    verdict: str
    good: bool


def live(needles: Needles, reference: str) -> list[Row]:
    """Search every process; to be called while the app waits for an answer.

    The reference must be found in the app's environment: that shows that it was read.
    """
    instead = search.in_processes(Needles([reference]), "environ")
    read = f"found in {len(instead.found)}: the app was read" if instead.found else "NOT FOUND"
    environ = search.in_processes(needles, "environ")
    return [
        _row("environment of every process", environ, "process"),
        Row(f"  {reference}, the same way", "", read, bool(instead.found)),
        _row("command line of every process", search.in_processes(needles, "cmdline"), "process"),
    ]


def left(needles: Needles, root: str, project: str, printed: Mapping[str, str]) -> list[Row]:
    """Search what is left: the app's files one kind after the other, then everything there is."""
    rows = [
        _row(place, _files(needles, project, names), "file") for place, names in APP_FILES.items()
    ]
    return [
        *rows,
        _row("every file that was written", search.in_folders(needles, [root]), "file"),
        _row("all that was printed", search.in_texts(needles, printed), "output"),
    ]


def control(folder: str) -> Row:
    """Plant a decoy where a key must not be, and search for it."""
    decoy = "sk-decoy-" + secrets.token_hex(16)
    needles = Needles([decoy])
    os.mkdir(folder)
    _plant(os.path.join(folder, "clear.txt"), f"KEY={decoy}\n")
    _plant(os.path.join(folder, "basic.log"), base64.b64encode(f"me:{decoy}".encode()).decode())
    with _holding(decoy):
        environ = search.in_processes(needles, "environ")
        found = environ + search.in_processes(needles, "cmdline")
    places = len((found + search.in_folders(needles, [folder])).found)
    verdict = "all found: the search works" if places == _PLANTED else f"ONLY {places} FOUND"
    return Row("a decoy, planted on purpose", f"{_PLANTED} places", verdict, places == _PLANTED)


def _row(place: str, report: Report, noun: str) -> Row:
    places, unread = report.places, len(report.unread)
    total = f"{places} of {places + unread}" if unread else f"{places}"
    searched = f"{total} {_plural(places + unread, noun)}"
    verdict = "clean" if report.clean else "NOTHING LOOKED AT"
    if report.found:
        verdict = "FOUND: " + "; ".join(report.found)
    return Row(place, searched, verdict, report.clean)


def _plural(count: int, noun: str) -> str:
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
