"""What is a role's session called, and what is read from an answer of STS?"""

from __future__ import annotations

import os
import pwd
import re
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from brokerd.backends.aws.assumed import keys_of, session_name, user
from brokershim.errors import ServerDown

WALL = datetime(2026, 11, 23, 12, 0, 0, tzinfo=UTC)
CREDENTIALS = {
    "AccessKeyId": "ASIA1",
    "SecretAccessKey": "secret-key",
    "SessionToken": "session-token",
    "Expiration": WALL + timedelta(hours=1),
}


def answer(sent: datetime | None = WALL, **credentials: Any) -> dict[str, Any]:
    headers = {} if sent is None else {"date": format_datetime(sent, usegmt=True)}
    return {
        "Credentials": {**CREDENTIALS, **credentials},
        "AssumedRoleUser": {"Arn": "arn:aws:sts::1:assumed-role/a/b"},
        "ResponseMetadata": {"HTTPHeaders": headers},
    }


def read(found: object, wall: datetime = WALL) -> Any:
    return keys_of("taking on a", found, lambda: 500.0, wall.timestamp)


def test_credentials_live_as_long_as_aws_says() -> None:
    found = read(answer())
    assert (found.access_key, found.secret_key, found.session_token) == (
        "ASIA1",
        "secret-key",
        "session-token",
    )
    assert found.expires_at == 4100.0
    assert found.arn == "arn:aws:sts::1:assumed-role/a/b"
    assert "secret-key" not in repr(found)
    assert "session-token" not in repr(found)


def test_a_clock_of_ours_that_is_off_changes_nothing() -> None:
    assert read(answer(), WALL + timedelta(days=1)).expires_at == 4100.0
    assert read(answer(sent=None), WALL + timedelta(minutes=30)).expires_at == 2300.0


@pytest.mark.parametrize(
    "found",
    [
        None,
        [],
        {},
        {"Credentials": None},
        {"Credentials": "x"},
        answer(AccessKeyId=None),
        answer(SecretAccessKey=""),
        answer(SessionToken=1),
        answer(SessionToken="session-token\r\nX-Other: 1"),
        answer(Expiration="2026-11-23T13:00:00Z"),
        answer(Expiration=WALL),
        answer(sent=WALL + timedelta(hours=2)),
    ],
)
def test_what_is_not_whole_is_refused(found: object) -> None:
    with pytest.raises(ServerDown, match="taking on a: ") as caught:
        read(found)
    assert "session-token" not in str(caught.value)


@pytest.mark.parametrize(
    ("what", "name"),
    [
        (["cloud"], "brokerctl-cloud"),
        (["cloud", "DOM\\jo"], "brokerctl-cloud-DOM-jo"),
        (["openai/dev"], "brokerctl-openai-dev"),
        (["ä b\n"], "brokerctl--b-"),
        ([""], "brokerctl-"),
        (["x" * 99, "jo"], "brokerctl-" + "x" * 54),
    ],
)
def test_a_name_holds_what_one_can(what: list[str], name: str) -> None:
    assert session_name(*what) == name
    assert re.fullmatch(r"[\w+=,.@-]{2,64}", name, re.ASCII)


def test_who_it_is_has_a_name_or_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    assert user() == pwd.getpwuid(os.getuid()).pw_name
    monkeypatch.setattr(os, "getuid", lambda: 4_000_000_001)
    assert user() == "4000000001"
