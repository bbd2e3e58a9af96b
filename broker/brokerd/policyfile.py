"""What stands in policy.toml, and how is a trusted project written into it?"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, cast

from brokerd import duration
from brokerd.config import MAX_BYTES, as_table, check_keys, parse_toml, read_toml
from brokerd.files import atomic_write
from brokerd.policy import Approval, Grant, Policy
from brokerd.stamp import Stamp, stamp
from brokershim.errors import BackendUnavailable, ConfigError, InsecurePath, UsageError
from brokershim.ownership import OTHERS_WRITE, read_private

_KEYS = {"secrets", "project", "sha256", "folder", "unsafe_any_session", "max_ttl", "approval"}
_UNREAD: Stamp = ()


class PolicyFile:
    """policy.toml, read again whenever it has changed.

    Args:
        path: The file; without it, nothing is granted.

    Attributes:
        last_read: What `current` found last: another object once the file has changed, and an
            empty policy while it cannot be understood.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._stamp: Stamp = None
        self.last_read = Policy()

    def current(self) -> Policy:
        """Return the policy as the file has it now.

        Raises:
            ConfigError: It cannot be understood, so nothing is granted.
            InsecurePath: Others could change it, so nothing is granted.
        """
        found = self.stamp()
        if found != self._stamp:
            # What was refused once, and is put right, looks as it did before: read it again then.
            self.last_read, self._stamp = Policy(), _UNREAD
            self.last_read = parse(self.path, read_toml(self.path))
            self._stamp = found
        return self.last_read

    def stamp(self) -> Stamp:
        """Return what changes with every change of the file; None where there is none.

        Raises:
            ConfigError: It cannot be looked at.
        """
        return stamp(self.path)

    def allow(self, project: str, sha256: str, secrets: list[str]) -> None:
        """Trust a project's broker.toml in place of what was trusted of it before.

        Everything else in the file, comments too, stays as it was.

        Raises:
            ConfigError: The file cannot be understood; it is left alone.
            InsecurePath: Others could change it.
            BackendUnavailable: It cannot be written.
        """
        self.current()
        data = _with_trust((_read(self.path) or b"").decode(), project, sha256, secrets).encode()
        parse(self.path, parse_toml(self.path, data))  # never write what could not be read
        _write(self.path, data)


def _with_trust(text: str, project: str, sha256: str, secrets: list[str]) -> str:
    """Return the text of a policy.toml with one project's trust replaced or added."""
    import tomlkit  # 30 ms, and only this one rare command needs it
    from tomlkit.items import AoT

    if text and not text.endswith("\n"):
        text += "\n"  # tomlkit begins the next table right there
    document = tomlkit.parse(text)
    trust = {"sha256": sha256, "secrets": secrets}
    found = document.setdefault("grant", tomlkit.aot())
    make = tomlkit.table if isinstance(found, AoT) else tomlkit.inline_table
    grants = cast("list[dict[str, Any]]", found)
    known = [each for each in grants if each.get("project") == project]
    for each in known:
        each.update(trust)
    if not known:
        grants.append(cast("dict[str, Any]", make()) | {"project": project, **trust})
    return tomlkit.dumps(document)


def parse(path: str, document: Mapping[str, Any]) -> Policy:
    """Return the policy that a document describes.

    Raises:
        ConfigError: Naming the file, the grant and the key.
    """
    check_keys(path, "", document, {"grant"})
    grants: Any = document.get("grant", [])
    if not isinstance(grants, list):
        raise ConfigError(f"{path}: grant is not a list; write [[grant]]")
    numbered = enumerate(cast("list[object]", grants), 1)
    return Policy(tuple(_grant(f"{path}: grant {number}", each) for number, each in numbered))


def _grant(where: str, value: Any) -> Grant:
    table = as_table(where, value)
    check_keys(where, "", table, _KEYS)
    for_whom = [key for key in ("project", "folder", "unsafe_any_session") if table.get(key)]
    if len(for_whom) != 1:
        raise ConfigError(f"{where} needs exactly one of project, folder, unsafe_any_session")
    if ("sha256" in table) != (for_whom == ["project"]):
        raise ConfigError(f"{where}: sha256 goes with project, and project with sha256")
    return Grant(
        secrets=_secrets(where, table.get("secrets")),
        project=_folder(where, table, "project"),
        sha256=_text(where, table, "sha256"),
        folder=_folder(where, table, "folder"),
        unsafe_any_session=_flag(where, table, "unsafe_any_session"),
        max_ttl=_max_ttl(where, table),
        approval=_approval(where, table),
    )


def _secrets(where: str, value: Any) -> tuple[str, ...]:
    names = cast("list[object]", value) if isinstance(value, list) else [None]
    if not all(isinstance(each, str) for each in names):
        raise ConfigError(f"{where}: secrets is not a list of names")
    return tuple(map(str, names))


def _text(where: str, table: Mapping[str, Any], key: str) -> str | None:
    value = table.get(key)
    if value is not None and not isinstance(value, str):
        raise ConfigError(f"{where}: {key} is not text")
    return value


def _folder(where: str, table: Mapping[str, Any], key: str) -> str | None:
    value = _text(where, table, key)
    if value is not None and (not os.path.isabs(value) or os.path.normpath(value) != value):
        raise ConfigError(f"{where}: {key} is not a plain absolute path")
    return value


def _flag(where: str, table: Mapping[str, Any], key: str) -> bool:
    value = table.get(key, False)
    if not isinstance(value, bool):
        raise ConfigError(f"{where}: {key} is not true or false")
    return value


def _max_ttl(where: str, table: Mapping[str, Any]) -> float | None:
    value = table.get("max_ttl")
    if value is None:
        return None
    try:
        return float(duration.seconds(str(value)))
    except UsageError as error:
        raise ConfigError(f"{where}: max_ttl is {error.message}", hint=error.hint) from None


def _approval(where: str, table: Mapping[str, Any]) -> Approval:
    try:
        return Approval(table.get("approval", "none"))
    except ValueError:
        raise ConfigError(f'{where}: approval is not "none" or "session"') from None


def _read(path: str) -> bytes | None:
    data = read_private(path, MAX_BYTES, OTHERS_WRITE)
    parse_toml(path, data or b"")
    return data


def _write(path: str, data: bytes) -> None:
    try:
        atomic_write(path, data)
    except InsecurePath:
        raise
    except OSError as error:
        raise BackendUnavailable(
            f"cannot write {path}: {error.strerror}", hint="mend the folder, then try again"
        ) from None
