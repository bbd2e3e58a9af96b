"""Which profiles do the files of the AWS command line hold? (AWS CLI User Guide, "Configuration".)

The command line's own `aws configure` writes them. Nothing of botocore is needed for that: it would
read the environment, too.
"""

from __future__ import annotations

import configparser
import os
import shlex
from collections.abc import Mapping

from brokershim.errors import ConfigError, IdentityUnavailable
from brokershim.ownership import OTHERS, OTHERS_WRITE, read_private

Profiles = Mapping[str, Mapping[str, str]]
"""By name: what each says, by key in lower case."""
_LONGEST = 1024 * 1024
_SECRET, _TOKEN = "aws_secret_access_key", "aws_session_token"
_HINT = "`aws configure` writes it; or name another with config_file or credentials_file"


def config_path() -> str:
    """Return where the command line has its settings."""
    return os.path.join(os.path.expanduser("~"), ".aws", "config")


def credentials_path() -> str:
    """Return where the command line has its keys."""
    return os.path.join(os.path.expanduser("~"), ".aws", "credentials")


def of_config(path: str, text: str) -> Profiles:
    """Return the profiles of a settings file. (Pure.)

    Args:
        path: The file, for messages.
        text: What it holds.

    Raises:
        ConfigError: It is no such file.
    """
    found: dict[str, Mapping[str, str]] = {}
    for name, values in of_credentials(path, text).items():
        words = _words(path, name)
        if name == "default":
            found[name] = values
        elif len(words) == 2 and words[0] == "profile":  # noqa: PLR2004 - [profile dev]
            found[words[1]] = values
    return found


def of_credentials(path: str, text: str) -> Profiles:
    """Return the profiles of a credentials file, where their names stand alone; as `of_config`."""
    parser = configparser.RawConfigParser(default_section="\n")  # none is everybody's default
    try:
        parser.read_string(text)
    except configparser.Error:
        fault = ConfigError(f"{path}: this is no file of profiles", hint="see `aws configure list`")
    else:
        return {name: dict(parser.items(name)) for name in parser.sections()}
    # After the handler: the parser's error repeats the line, and so perhaps a key.
    raise fault


def read(config: str, credentials: str) -> Profiles:
    """Return all profiles; what both files say, the credentials file says.

    Args:
        config: The settings file; it may be readable for others where it holds no key.
        credentials: The credentials file.

    Raises:
        ConfigError: One of them is no such file.
        InsecurePath: Others could change it, or read a key in it; or it is a link.
        IdentityUnavailable: There is neither, or one cannot be read.
    """
    settings, keys = _text(config, OTHERS_WRITE), _text(credentials, OTHERS)
    if settings is None and keys is None:
        raise IdentityUnavailable(f"there is neither {config} nor {credentials}", hint=_HINT)
    found = dict(of_config(config, settings or ""))
    if any(_SECRET in each for each in found.values()):
        _text(config, OTHERS)
    for name, values in of_credentials(credentials, keys or "").items():
        found[name] = {**found.get(name, {}), **values}
    return found


def in_clear(profiles: Profiles) -> list[str]:
    """Return the names of those that hold an access key that never dies, in order. (Pure.)"""
    return sorted(
        name for name, each in profiles.items() if each.get(_SECRET) and not each.get(_TOKEN)
    )


def _text(path: str, forbidden: int) -> str | None:
    try:
        data = read_private(path, _LONGEST, forbidden)
    except OSError as error:
        reason = error.strerror
    else:
        return None if data is None else decoded(path, data)
    raise IdentityUnavailable(f"cannot read {path}: {reason}", hint=_HINT)


def decoded(path: str, data: bytes) -> str:
    """Return what a file of profiles holds as text.

    Raises:
        ConfigError: It is no UTF-8.
    """
    try:
        return data.decode()
    except UnicodeDecodeError:
        fault = ConfigError(f"{path}: this is no UTF-8")
    raise fault  # after the handler: the decoder's error holds the file


def _words(path: str, name: str) -> list[str]:
    try:
        return shlex.split(name)
    except ValueError:
        raise ConfigError(f"{path}: the name of a profile in it is no text in quotes") from None
