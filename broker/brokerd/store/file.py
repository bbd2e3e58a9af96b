"""What does the store's file hold now, and how is it replaced without overwriting a change?"""

from __future__ import annotations

import os
from typing import NamedTuple

from brokerd.files import atomic_write
from brokerd.store.format import FormatError, Parsed, decode
from brokershim.errors import BackendUnavailable, StoreCorrupted
from brokershim.ownership import check_private_dir, make_private_dir, read_private

MAX_BYTES = 16 * 1024 * 1024
Stamp = tuple[int, ...]


class Loaded(NamedTuple):
    """A file's bytes and what they say. Nothing vouches for it yet."""

    raw: bytes
    parsed: Parsed


class StoreFile:
    """The file, and what was last read from it.

    Args:
        path: Where it stands, or will.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._last: tuple[Stamp, Loaded] | None = None

    def stamp(self) -> Stamp | None:
        """Return what changes with every change of the file; None where there is none.

        Raises:
            BackendUnavailable: It cannot be looked at.
        """
        try:
            found = os.lstat(self.path)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._failed("look at", error) from None
        # The change time also moves when the mode or the owner does, and nobody can set it back.
        return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns

    def load(self) -> Loaded | None:
        """Return what the file holds, read again if it has changed; None where there is none.

        Raises:
            StoreCorrupted: It holds no store.
            InsecurePath: Others could read or change it.
            BackendUnavailable: It cannot be read.
        """
        stamp, last = self.stamp(), self._last  # before the file is read: a later change shows
        if stamp is None:
            return None
        # A change within one tick of the file system's clock does not show. Then what was read
        # before is given out once more, and `replace` compares bytes.
        if last is not None and last[0] == stamp:
            return last[1]
        raw = self._read()
        if raw is None:
            return None
        try:
            loaded = Loaded(raw, decode(raw))
        except FormatError as error:
            raise StoreCorrupted(f"{self.path} is damaged: {error}") from None
        self._last = stamp, loaded
        return loaded

    def replace(self, raw: bytes, expected: bytes | None) -> None:
        """Replace the file's bytes, or make it.

        Args:
            raw: The new bytes.
            expected: The bytes that the new ones are made from; None where there was no file.

        Raises:
            InsecurePath: Others could read or change it.
            BackendUnavailable: It cannot be written, would be too large, or no longer holds
                what was expected. The old file is there still.
        """
        if len(raw) > MAX_BYTES:
            raise BackendUnavailable(
                f"{self.path} would be over {MAX_BYTES} bytes",
                hint="remove secrets that nobody uses: `brokerctl secret rm NAME`",
            )
        try:
            make_private_dir(os.path.dirname(self.path))
            if self._read() != expected:
                self._last = None
                raise BackendUnavailable(
                    f"another program changed {self.path}; nothing was written", hint="try again"
                )
            atomic_write(self.path, raw)
        except OSError as error:
            raise self._failed("write", error) from None

    def _read(self) -> bytes | None:
        try:
            check_private_dir(os.path.dirname(self.path))
            return read_private(self.path, MAX_BYTES)
        except OSError as error:
            raise self._failed("read", error) from None

    def _failed(self, verb: str, error: OSError) -> BackendUnavailable:
        hint = "mend the folder's permissions, or free disk space, then try again"
        return BackendUnavailable(f"cannot {verb} {self.path}: {error.strerror}", hint=hint)
