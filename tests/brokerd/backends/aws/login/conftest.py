"""A person at IAM Identity Center, where the time passes at once, and a home with profiles."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from brokerd.backends.aws.clients import Clients
from brokerd.backends.aws.login import profile
from brokerd.backends.aws.login.profile import Profile
from brokerd.backends.aws.login.sso import SingleSignOn, build
from brokerd.identities.oidc.clocks import Clocks
from brokerd.table import Table
from brokershim import clock
from tests.support.aws import ADMIN, Aws, role
from tests.support.aws_asking import clients
from tests.support.identity_center import SECRET, START, IdentityCenter
from tests.support.memory_keyring import MemoryKeyring, use

ENTRY = ("brokerctl", "backend/cloud")
TABLE = {
    "login": "sso",
    "start_url": START,
    "sso_region": "eu-west-1",
    "account_id": "123456789012",
    "role_name": "Developer",
}
TOKENS = ("the-access-token", "the-refresh-token", "the-device-code", SECRET)
SERIAL = "arn:aws:iam::123456789012:mfa/ada"
KEY = f"aws_access_key_id = {ADMIN[0]}\naws_secret_access_key = {ADMIN[1]}\n"
CODED = f"""[profile dev]
region = us-east-1
s3 =
  max_concurrent_requests = 20
role_arn = {role("dev")}
source_profile = base
mfa_serial = {SERIAL}
external_id = acme-17
"""


class Time:
    """The clocks of a login; what is waited for passes at once."""

    def __init__(self) -> None:
        self.later = 0.0
        self.waited: list[float] = []

    def clocks(self) -> Clocks:
        return Clocks(
            lambda: clock.now() + self.later, lambda: time.time() + self.later, self._wait
        )

    def _wait(self, given_up: threading.Event, seconds: float) -> bool:
        self.waited.append(seconds)
        self.later += seconds
        return given_up.is_set()


@pytest.fixture
def center() -> Iterator[IdentityCenter]:
    with IdentityCenter() as running:
        yield running


@pytest.fixture
def keyring(monkeypatch: pytest.MonkeyPatch) -> MemoryKeyring:
    found = MemoryKeyring()
    use(monkeypatch, found)
    return found


@pytest.fixture
def passing(monkeypatch: pytest.MonkeyPatch) -> Time:
    found = Time()
    monkeypatch.setattr("brokerd.backends.aws.login.sso.Clocks", found.clocks)
    return found


@pytest.fixture
def asking(aws: Aws, center: IdentityCenter) -> Clients:
    endpoints = {"sts": aws.url, "sso": center.url, "sso-oidc": center.url}
    return clients(aws, endpoints=endpoints)


@pytest.fixture
def sso(asking: Clients, keyring: MemoryKeyring, passing: Time) -> SingleSignOn:
    del keyring, passing  # there before it is built
    return made(asking)


def made(asking: Clients, **values: Any) -> SingleSignOn:
    table = Table("config.toml", "backend.cloud", {**TABLE, **values})
    table.text("login")
    found = build("cloud", table, {}, asking)
    table.finish()
    return found


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".aws").mkdir()
    write(tmp_path, "credentials", f"[base]\n{KEY}")
    return tmp_path


def write(home: Path, name: str, text: str, mode: int = 0o600) -> Path:
    path = home / ".aws" / name
    path.write_text(text)
    path.chmod(mode)
    return path


def profiled(asking: Clients, **values: str) -> Profile:
    values = {"login": "profile", "profile": "dev", **values}
    table = Table("config.toml", "backend.cloud", values)
    table.text("login")
    found = profile.build("cloud", table, {}, asking)
    table.finish()
    return found


def nobody() -> Clients:
    return clients("http://127.0.0.1:9")


def calls(aws: Aws) -> list[dict[str, Any]]:
    return aws.calls("AssumeRole")
