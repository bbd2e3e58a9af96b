"""Is a key to be found where it must not be: with processes, in files, in what was printed?

A report says how much was looked at. One that looked at nothing is not clean.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import IO, Literal

import psutil

from demo.forms import Needles

_CHUNK = 1024 * 1024
_HAS_PROC = os.path.exists("/proc/self/environ")

ProcessPart = Literal["environ", "cmdline"]


@dataclass
class Report:
    """What a search looked at, and what it found. It holds no key.

    Attributes:
        places: How many processes, files or texts were read.
        size: How many bytes they held.
        unread: What could not be read.
        found: Where a key stands, and in which form.
    """

    places: int = 0
    size: int = 0
    unread: list[str] = field(default_factory=list)
    found: list[str] = field(default_factory=list)

    @property
    def clean(self) -> bool:
        """Whether something was looked at, and no key was in it."""
        return self.places > 0 and self.size > 0 and not self.found

    def add(self, where: str, size: int, form: str | None) -> None:
        """Take in one place that was read."""
        self.places += 1
        self.size += size
        if form is not None:
            self.found.append(f"{where}: {form}")

    def __add__(self, other: Report) -> Report:
        """Return both in one."""
        return Report(
            self.places + other.places,
            self.size + other.size,
            self.unread + other.unread,
            self.found + other.found,
        )


def in_processes(needles: Needles, part: ProcessPart) -> Report:
    """Search the environment or the command line of every process that may be read."""
    report = Report()
    for pid in psutil.pids():
        where = f"{part} of process {pid}"
        try:
            data = _part_of(pid, part)
        except (PermissionError, psutil.AccessDenied):
            report.unread.append(where)
        except (FileNotFoundError, ProcessLookupError, psutil.NoSuchProcess):
            pass  # it has ended since it was listed
        else:
            if data:  # the kernel's own threads have none
                report.add(where, len(data), needles.find(data))
    return report


def in_folders(needles: Needles, folders: Iterable[str]) -> Report:
    """Search every file below some folders: its name, its content, and where a link leads."""
    report = Report()
    for folder in folders:
        for path in _below(folder, report):
            _look(needles, path, report)
    return report


def in_texts(needles: Needles, texts: Mapping[str, str]) -> Report:
    """Search texts, such as what a program printed; the keys of the mapping name them."""
    report = Report()
    for where, text in texts.items():
        data = text.encode("utf-8", "surrogateescape")
        report.add(where, len(data), needles.find(data))
    return report


def _part_of(pid: int, part: ProcessPart) -> bytes:
    # proc(5): as the process was started, byte for byte; psutil would leave out what it cannot
    # parse. macOS has no /proc.
    if _HAS_PROC:
        with open(f"/proc/{pid}/{part}", "rb") as file:
            return file.read()
    process = psutil.Process(pid)
    if part == "cmdline":
        return "\0".join(process.cmdline()).encode("utf-8", "surrogateescape")
    pairs = (f"{name}={value}" for name, value in process.environ().items())
    return "\0".join(pairs).encode("utf-8", "surrogateescape")


def _below(folder: str, report: Report) -> Iterator[str]:
    def unread(error: OSError) -> None:
        if not isinstance(error, FileNotFoundError):
            report.unread.append(str(error.filename))

    for base, folders, files in os.walk(folder, onerror=unread):
        for name in folders + files:
            yield os.path.join(base, name)


def _look(needles: Needles, path: str, report: Report) -> None:
    name = os.fsencode(os.path.basename(path))
    try:
        mode = os.lstat(path).st_mode
        if stat.S_ISLNK(mode):
            name += b"\0" + os.fsencode(os.readlink(path))
        size, form = _read(needles, path) if stat.S_ISREG(mode) else (0, None)
    except FileNotFoundError:
        return  # removed while the folder was walked
    except OSError:
        report.unread.append(path)
        return
    report.add(path, size, form)
    in_name = needles.find(name)
    if in_name is not None:
        # Not the path itself: this report is printed.
        report.found.append(f"a file's name in {os.path.dirname(path)}: {in_name}")


def _read(needles: Needles, path: str) -> tuple[int, str | None]:
    with open(path, "rb") as file:
        return _scan(needles, file)


def _scan(needles: Needles, file: IO[bytes]) -> tuple[int, str | None]:
    """Return a file's size and the form in which it holds a key, if any."""
    size, rest = 0, b""
    while data := file.read(_CHUNK):
        size += len(data)
        form = needles.find(rest + data)
        if form is not None:
            return size, form
        rest = (rest + data)[-needles.longest :]  # a key may lie across the border
    return size, None
