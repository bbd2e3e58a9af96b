"""Do access keys of AWS stand in clear where its own command line has them? Names only."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping

from brokerctl.checks.check import Check
from brokerd.backends.aws.login import profiles
from brokerd.backends.aws.login.profiles import Profiles

_HINT = (
    'log in without one, as with `login = "sso"` (docs/aws.md); then delete it at AWS, and take it '
    "out of the file"
)


def files(environ: Mapping[str, str]) -> Iterator[Check]:
    """Look for access keys that never die in the files of profiles; any program may read those."""
    here = {
        (profiles.credentials_path(), profiles.of_credentials),
        (environ.get("AWS_SHARED_CREDENTIALS_FILE", ""), profiles.of_credentials),
        (profiles.config_path(), profiles.of_config),
        (environ.get("AWS_CONFIG_FILE", ""), profiles.of_config),
    }
    found = [
        check
        for path, profiles_of in sorted(here, key=lambda each: each[0])
        if os.path.isfile(path)
        for check in _file(path, profiles_of)
    ]
    yield from found or [Check("aws", "ok", "no access key in clear in its files")]


def _file(path: str, profiles_of: Callable[[str, str], Profiles]) -> Iterator[Check]:
    with open(path, "rb") as file:
        text = profiles.decoded(path, file.read())
    names = profiles.in_clear(profiles_of(path, text))
    if names:
        detail = f"{path} holds an access key in clear, of profile {', '.join(names)}"
        yield Check("aws", "warn", detail, _HINT)
