"""Which file would be executed for a command, and will the shim load in it?"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from brokershim.errors import UsageError

_PYTHON = re.compile(r"(?:python|pypy)[0-9.]*[td]*")
_ENDS_OPTIONS = "cm"
_TAKES_VALUE = "WXQ"
_BLOCKS_SHIM = "IES"
_LONG_WITH_VALUE = "--check-hash-based-pycs"
_SHEBANG_BYTES = 256


class ProgramNotFound(UsageError):
    """No file of that name; a shell ends with the same status."""

    exit_status = 127
    hint = "is it installed, and in the PATH?"


class NotExecutable(UsageError):
    """The file is there and cannot be executed; a shell ends with the same status."""

    exit_status = 126
    hint = "make it executable with chmod +x, or name its interpreter"


class Program(NamedTuple):
    """What a command executes.

    Attributes:
        path: The file, absolute, with the links of its folder resolved.
        script: The script that it runs, in the same form; None if it runs none.
        blocking: The Python option that would keep the shim from loading, or None.
    """

    path: str
    script: str | None
    blocking: str | None


def find(command: Sequence[str], environ: Mapping[str, str]) -> Program:
    """Return what a command executes, by the rules of execvp(3).

    Raises:
        ProgramNotFound: There is no such file.
        NotExecutable: There is, and it may not be executed.
    """
    path = _absolute(_lookup(command[0], environ))
    if _PYTHON.fullmatch(os.path.basename(command[0])):
        script, blocking = _python_options(command[1:])
        found = script is not None and os.path.isfile(script)
        return Program(path, _absolute(script) if script and found else None, blocking)
    interpreter = _shebang(path)
    return Program(path, path if interpreter else None, _blocking_shebang(interpreter))


def _lookup(name: str, environ: Mapping[str, str]) -> str:
    candidates = [name] if "/" in name else list(_in_path(name, environ))
    files = [each for each in candidates if os.path.isfile(each)]
    for each in files:
        if os.access(each, os.X_OK):
            return each
    if files or (candidates == [name] and os.path.exists(name)):
        raise NotExecutable(f"{name} cannot be executed")
    raise ProgramNotFound(f"{name}: command not found")


def _in_path(name: str, environ: Mapping[str, str]) -> Iterator[str]:
    for folder in environ.get("PATH", os.defpath).split(os.pathsep):
        yield os.path.join(folder or os.curdir, name)


def _absolute(path: str) -> str:
    """Resolve the folder, and not the file: a virtual environment's python is a link."""
    return os.path.join(os.path.realpath(os.path.dirname(path)), os.path.basename(path))


def _python_options(arguments: Sequence[str]) -> tuple[str | None, str | None]:
    """Return the script that Python's own options lead to, and the option that blocks the shim.

    As in Python's getopt: letters may stand together, some take the rest of the word or the
    next one, and `-c` and `-m` end the options.
    """
    blocking: str | None = None
    rest = list(arguments)
    while rest:
        word = rest.pop(0)
        if word == "--":
            break
        if word == "-" or not word.startswith("-"):
            return (None if word == "-" else word), blocking
        options, ended, needs_value = _option_letters(word)
        if any(letter in _BLOCKS_SHIM for letter in options):
            blocking = blocking or word
        if ended:
            return None, blocking
        if needs_value:
            del rest[:1]
    return (rest[0] if rest else None), blocking


def _option_letters(word: str) -> tuple[str, bool, bool]:
    """Return a word's option letters, whether they end the options, and take the next word."""
    if word.startswith("--"):
        return "", False, word == _LONG_WITH_VALUE
    for place, letter in enumerate(word[1:], 1):
        if letter in _ENDS_OPTIONS:
            return word[1:place], True, False
        if letter in _TAKES_VALUE:
            return word[1:place], False, place == len(word) - 1
    return word[1:], False, False


def _shebang(path: str) -> list[str]:
    """Return the words of a script's first line, or none where it is no script."""
    try:
        with open(path, "rb") as file:
            line = file.readline(_SHEBANG_BYTES)
    except OSError:  # executable and not readable: then it is no script
        return []
    return os.fsdecode(line[2:]).split() if line.startswith(b"#!") else []


def _blocking_shebang(words: list[str]) -> str | None:
    """Return the option of a script's own `#!` line that would keep the shim from loading."""
    for place, word in enumerate(words):
        if _PYTHON.fullmatch(os.path.basename(word)):
            return _python_options(words[place + 1 :])[1]
    return None
