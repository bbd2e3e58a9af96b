"""How is one table of config.toml read, so that nothing in it is misread or overlooked? (Pure.)"""

from __future__ import annotations

import difflib
import json
import os
from collections.abc import Mapping
from typing import Any, cast

from brokerd import duration
from brokershim.errors import ConfigError, UsageError

_ALIKE = 0.8
"""From 0 to 1: how alike two keys are of which one may be a slip for the other (difflib)."""


class Table:
    """One table, read key by key; `finish` then refuses what nobody asked for.

    Args:
        path: The file, for messages.
        name: The table's name in it, such as ``identity.work``.
        values: What it holds.
    """

    def __init__(self, path: str, name: str, values: Mapping[str, Any]) -> None:
        self.path, self.name = path, name
        self._values = values
        self._known: set[str] = set()

    def text(self, key: str) -> str:
        """Return a text that has to be there.

        Raises:
            ConfigError: It is not, or is empty or no text.
        """
        found = self.optional_text(key)
        if found is None:
            raise self._missing(key)
        return found

    def optional_text(self, key: str) -> str | None:
        """Return a text, or None where there is none.

        Raises:
            ConfigError: It is empty, or no text.
        """
        found = self._get(key)
        if found is None:
            return None
        if not isinstance(found, str) or not found.isprintable():
            raise self.error(f"{key} is not a text")
        if not found.strip():
            raise self.error(f"{key} is empty")
        return found

    def absolute_path(self, key: str) -> str:
        """Return an absolute path that has to be there.

        Raises:
            ConfigError: It is not, or is none.
        """
        found = self.optional_absolute_path(key)
        if found is None:
            raise self._missing(key)
        return found

    def optional_absolute_path(self, key: str) -> str | None:
        """Return an absolute path, or None where there is none.

        Any other would mean something else in each folder that the daemon is started in.

        Raises:
            ConfigError: It is not absolute.
        """
        found = self.optional_text(key)
        if found is not None and not os.path.isabs(found):
            raise self.error(f"{key} is not an absolute path")
        return found

    def choice(self, key: str, choices: tuple[str, ...], default: str | None = None) -> str:
        """Return one of some words.

        Raises:
            ConfigError: It is none of them, or missing where there is no default.
        """
        found = default if key not in self._values else None
        self._known.add(key)
        if found is None:
            found = self.text(key)
        if found not in choices:
            raise self.error(f"{key} is none of {', '.join(choices)}")
        return found

    def texts(self, key: str) -> tuple[str, ...]:
        """Return a list of texts, empty where there is none.

        Raises:
            ConfigError: It is not a list of texts.
        """
        found = self._get(key)
        if found is None:
            return ()
        entries = cast("list[object]", found) if isinstance(found, list) else [None]
        texts = tuple(each for each in entries if isinstance(each, str) and each)
        if len(texts) < len(entries):
            raise self.error(f"{key} is not a list of texts")
        return texts

    def flag(self, key: str, default: bool = False) -> bool:
        """Return whether a key is true; the default where there is none.

        Raises:
            ConfigError: It is neither true nor false.
        """
        found = self._get(key)
        if found is None:
            return default
        if not isinstance(found, bool):
            raise self.error(f"{key} is neither true nor false")
        return found

    def number(self, key: str) -> int | None:
        """Return a whole number from 1 on, or None where there is none.

        Raises:
            ConfigError: It is none.
        """
        found = self._get(key)
        if found is None:
            return None
        if not isinstance(found, int) or isinstance(found, bool) or found < 1:
            raise self.error(f"{key} is not a whole number from 1 on")
        return found

    def scalars(self, key: str) -> dict[str, str | int | bool]:
        """Return a table of texts, whole numbers and truth values; empty where there is none.

        Raises:
            ConfigError: It is no table, or holds anything else.
        """
        found = self._get(key)
        if found is None:
            return {}
        if not isinstance(found, dict):
            raise self.error(f"{key} is not a table")
        entries = cast("dict[str, object]", found)
        fit = {name: each for name, each in entries.items() if isinstance(each, str | int | bool)}
        if len(fit) < len(entries):
            raise self.error(f"{key} holds what is neither a text, a whole number, true nor false")
        return fit

    def document(self, key: str) -> str | None:
        """Return a text of any number of lines that is a JSON object, in its shortest form.

        None where there is none.

        Raises:
            ConfigError: It is no JSON object.
        """
        found = self._get(key)
        if found is None:
            return None
        try:
            read: object = json.loads(found) if isinstance(found, str) else None
        except (ValueError, RecursionError):
            read = None
        if not isinstance(read, dict):
            raise self.error(f"{key} is not a text that is a JSON object")
        return json.dumps(read, separators=(",", ":"))

    def seconds(self, key: str) -> float | None:
        """Return a duration such as ``"15m"`` in seconds, or None where there is none.

        Raises:
            ConfigError: It is no duration.
        """
        found = self.optional_text(key)
        try:
            return None if found is None else duration.seconds(found)
        except UsageError as error:
            raise self.error(f"{key} is {error.message}") from None

    def refuse(self, key: str, hint: str) -> None:
        """Refuse a key that must not stand here, and say what to do instead.

        Raises:
            ConfigError: It does.
        """
        if key in self._values:
            raise ConfigError(f"{self.path}: {self.name}: {key} is not accepted", hint=hint)

    def finish(self) -> None:
        """Refuse what was not asked for: a misspelt limit must not be no limit.

        Raises:
            ConfigError: Naming the file and the key.
        """
        for key in self._values:
            if key not in self._known:
                known = ", ".join(sorted(f"{self.name}.{each}" for each in self._known))
                raise ConfigError(
                    f"{self.path}: unknown key {self.name}.{key}", hint=f"known here: {known}"
                )

    def error(self, fault: str) -> ConfigError:
        """Return the error that says what is wrong in this table."""
        return ConfigError(f"{self.path}: {self.name}: {fault}")

    def _missing(self, key: str) -> ConfigError:
        alike = difflib.get_close_matches(key, self._values, 1, _ALIKE)
        meant = f": is `{alike[0]}` meant for it?" if alike else ""
        return self.error(f"{key} is missing{meant}")

    def _get(self, key: str) -> Any:
        self._known.add(key)
        return self._values.get(key)
