"""What does a project's broker.toml ask for?

It maps environment variables to names of secrets, and holds nothing else, so that it is safe
to commit. What is trusted is its exact content, by hash, so that reading it and trusting it
cannot be two different files.
"""

from __future__ import annotations

import grp
import hashlib
import os
import pwd
import re
import stat
from dataclasses import dataclass
from typing import Any

from brokerd.config import parse_toml
from brokerd.foreign import loads_foreign_code
from brokerd.naming import check_name
from brokerd.providers import looks_like_key
from brokershim.errors import ConfigError, InsecurePath, ProjectFileNotFound, UsageError
from brokershim.ownership import open_private
from brokershim.paths import PROJECT_FILE

MAX_VARIABLES = 64
"""Variables that a session may have: what names them has to fit into one reply."""
_MAX_BYTES = 64 * 1024
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")
_STEERING = ("BROKER_", "PYTHON", "LD_", "DYLD_", "XDG_")


@dataclass(frozen=True)
class Project:
    """One broker.toml as it was read.

    Attributes:
        path: The file, with every link in its folder's path resolved.
        folder: The folder that it stands in.
        sha256: Hash of its bytes.
        env: Environment variable -> secret name.
    """

    path: str
    folder: str
    sha256: str
    env: dict[str, str]


def read(path: str) -> Project:
    """Read a broker.toml; this takes as long as its file system does.

    Raises:
        ProjectFileNotFound: There is none.
        InsecurePath: It is a link, another user's, or open for others to change.
        ConfigError: It is not TOML, or holds anything but variables and names of secrets.
        UsageError: The path is not absolute, or its folder's name is no text.
    """
    if not os.path.isabs(path):
        raise UsageError("a project's path is absolute", hint="give the path from / on")
    folder = os.path.realpath(os.path.dirname(path))
    if not folder.isprintable():  # half a surrogate pair stands for a byte that is no text
        raise UsageError("the project's folder has a name that cannot be shown")
    path = os.path.join(folder, PROJECT_FILE)
    data = _read(path)
    return Project(path, folder, hashlib.sha256(data).hexdigest(), parse(path, data))


def parse(path: str, data: bytes) -> dict[str, str]:
    """Return the variables and secrets that the bytes of a broker.toml name.

    Raises:
        ConfigError: Naming the file and the key.
    """
    document = parse_toml(path, data)
    if not document:
        raise ConfigError(f"{path} names no secret", hint='add VARIABLE = "name/of-secret"')
    if len(document) > MAX_VARIABLES:
        raise ConfigError(f"{path} names more than {MAX_VARIABLES} variables")
    for variable, secret in document.items():
        _check(path, variable, secret)
    return dict(document)


def check_env(env: dict[str, str]) -> None:
    """Check what `--env` names by the same rules.

    Raises:
        UsageError: A variable or a secret's name is not well formed.
    """
    for variable, secret in env.items():
        check_variable(variable)
        check_name(secret)


def check_variable(variable: str) -> None:
    """Check that a name may stand for a key in the environment.

    A reference reads as a path, too: as BASH_ENV it is a file of the project that bash runs.

    Raises:
        UsageError: It is no variable's name, or one that steers an interpreter or ourselves.
    """
    steers = variable.startswith(_STEERING) or variable in ("HOME", "PATH")
    if _shown(variable) is None or steers or loads_foreign_code(variable):
        raise UsageError("not a variable that can hold a key", hint="a name such as OPENAI_API_KEY")


def _check(path: str, variable: str, secret: Any) -> None:
    which = _shown(variable) or "what stands in a variable's place"
    if not isinstance(secret, str):
        raise ConfigError(
            f"{path}: {which} is not set to a secret's name",
            hint='each line is VARIABLE = "name/of-secret"',
        )
    try:
        check_env({variable: secret})
    except UsageError as error:
        # The value is not repeated: someone may have put the key itself there.
        raise ConfigError(f"{path}: {which}: {error.message}", hint=error.hint) from None


def _shown(variable: str) -> str | None:
    """Return a variable's name, or None where it is none, and perhaps a key by mistake."""
    well_formed = _VARIABLE.fullmatch(variable) and not looks_like_key(variable)
    return variable if well_formed else None


def _read(path: str) -> bytes:
    try:
        fd = open_private(path, forbidden=stat.S_IWOTH)
    except (FileNotFoundError, NotADirectoryError):
        raise ProjectFileNotFound(f"there is no {path}") from None
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from None
    with os.fdopen(fd, "rb") as file:
        _check_group(path, os.fstat(fd))
        data = file.read(_MAX_BYTES + 1)
    if len(data) > _MAX_BYTES:
        raise ConfigError(f"{path} is over {_MAX_BYTES} bytes")
    return data


def _check_group(path: str, found: os.stat_result) -> None:
    """Refuse a file that a group can write, unless the group is the user's private one.

    Many systems give each user such a group and a umask of 002 (useradd(8), USERGROUPS_ENAB):
    every fresh checkout is group-writable there, and open to nobody else.
    """
    if not found.st_mode & stat.S_IWGRP:
        return
    try:
        user, group = pwd.getpwuid(found.st_uid), grp.getgrgid(found.st_gid)
        private = group.gr_name == user.pw_name and set(group.gr_mem) <= {user.pw_name}
    except KeyError:
        private = False
    if not private:
        raise InsecurePath(f"{path} can be changed by its group", hint=f"chmod g-w {path}")
