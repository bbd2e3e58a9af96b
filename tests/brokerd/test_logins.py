from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import pytest

from brokerd import logins as module
from brokerd.audit.group import GroupCommit
from brokerd.identities.base import Mode
from brokerd.logins import MAX_LOGINS, Logins
from brokershim.errors import (
    AuditUnavailable,
    BackendTimeout,
    BackendUnavailable,
    IdentityUnavailable,
    LimitExceeded,
    LoginRefused,
    LoginUnderWay,
    NotFound,
    ServerDown,
    UsageError,
)
from tests.support.identities import CODE, READY, URL, FolderIdentity, FolderLogin
from tests.support.serving import in_a_loop, until

_MINE, _OTHERS = 7, 8
_PID = 4711


class _Audit:
    """Keeps what it is told, unless it is to fail."""

    def __init__(self) -> None:
        self.events: list[tuple[str, dict[str, Any]]] = []
        self.broken = ""

    async def record(self, event: str, **fields: Any) -> None:
        if event == self.broken:
            raise AuditUnavailable("the disk is full")
        self.events.append((event, fields))

    def kinds(self) -> list[str]:
        return [event.removeprefix("identity.") for event, _ in self.events]


@asynccontextmanager
async def _running() -> AsyncGenerator[tuple[Logins, _Audit]]:
    audit = _Audit()
    logins = Logins(cast(GroupCommit, audit))
    yield logins, audit
    await logins.end(5.0)


async def _begin(
    logins: Logins, identity: FolderIdentity, mode: Mode = "browser", connection: int = _MINE
) -> str:
    number, _login = await logins.begin(identity, mode, connection, _PID)
    return number


@in_a_loop
async def test_a_login_from_its_beginning_to_its_end(tmp_path: Path) -> None:
    work = FolderIdentity("work", tmp_path)
    async with _running() as (logins, audit):
        number, login = await logins.begin(work, "device", _MINE, _PID)
        assert (login.url, login.user_code) == (URL, CODE)
        assert await logins.wait(number, _MINE, 0) is None
        assert logins.holds(_MINE)
        work.answer("yes")
        assert await logins.wait(number, _MINE, 5) == READY
        assert not logins.holds(_MINE)
        with pytest.raises(NotFound):  # it was told once
            await logins.wait(number, _MINE, 0)
    assert audit.events == [
        ("identity.login_begun", {"identity": "work", "mode": "device", "pid": _PID}),
        (
            "identity.logged_in",
            {
                "identity": "work",
                "subject": "alice",
                "issuer": "https://id.example",
                "pid": _PID,
            },
        ),
    ]


@in_a_loop
async def test_why_it_failed_is_told_once_and_written_down(tmp_path: Path) -> None:
    work = FolderIdentity("work", tmp_path)
    async with _running() as (logins, audit):
        number = await _begin(logins, work)
        work.answer("the person said no")
        with pytest.raises(LoginRefused, match="the person said no"):
            await logins.wait(number, _MINE, 5)
        number = await _begin(logins, work)  # and it may begin again
        work.answer("yes")
        assert await logins.wait(number, _MINE, 5) == READY
    failed = audit.events[1]
    assert failed == (
        "identity.login_failed",
        {"identity": "work", "kind": "denied.login_refused", "pid": _PID},
    )


@pytest.mark.parametrize(
    ("sign", "mode", "error"),
    [("down", "browser", ServerDown), ("no-device", "device", IdentityUnavailable)],
)
@in_a_loop
async def test_what_cannot_begin_leaves_nothing(
    tmp_path: Path, sign: str, mode: Mode, error: type[Exception]
) -> None:
    work = FolderIdentity("work", tmp_path)
    work.file(sign).touch()
    async with _running() as (logins, audit):
        for _ in range(MAX_LOGINS + 1):
            with pytest.raises(error):
                await _begin(logins, work, mode)
        assert audit.kinds() == ["login_begun", "login_failed"] * (MAX_LOGINS + 1)


@in_a_loop
async def test_a_second_login_to_the_same_is_refused_until_the_first_is_over(
    tmp_path: Path,
) -> None:
    work, home = FolderIdentity("work", tmp_path), FolderIdentity("home", tmp_path)
    async with _running() as (logins, _audit):
        number = await _begin(logins, work)
        with pytest.raises(LoginUnderWay):
            await _begin(logins, work, connection=_OTHERS)
        await _begin(logins, home, connection=_OTHERS)
        await logins.cancel(number, _MINE)
        await _begin(logins, work)


@in_a_loop
async def test_only_so_many_at_once(tmp_path: Path) -> None:
    async with _running() as (logins, _audit):
        for n in range(MAX_LOGINS):
            await _begin(logins, FolderIdentity(f"i{n}", tmp_path))
        with pytest.raises(LimitExceeded):
            await _begin(logins, FolderIdentity("one-more", tmp_path))


@in_a_loop
async def test_those_whose_end_nobody_asks_for_keep_nobody_out(tmp_path: Path) -> None:
    work = FolderIdentity("work", tmp_path)
    async with _running() as (logins, audit):
        numbers: list[str] = []
        for _ in range(MAX_LOGINS + 1):
            numbers.append(await _begin(logins, work))
            work.answer("yes")
            await until(lambda: len(audit.kinds()) == 2 * len(numbers))
            await until(lambda: not logins.holds(_MINE))
        with pytest.raises(NotFound):  # the oldest one made room
            await logins.wait(numbers[0], _MINE, 0)
        for each in numbers[1:]:
            assert await logins.wait(each, _MINE, 0) == READY


@in_a_loop
async def test_it_is_its_own_connections_alone(tmp_path: Path) -> None:
    work = FolderIdentity("work", tmp_path)
    async with _running() as (logins, _audit):
        number = await _begin(logins, work)
        with pytest.raises(NotFound):
            await logins.wait(number, _OTHERS, 0)
        with pytest.raises(NotFound):
            await logins.cancel(number, _OTHERS)
        logins.closed(_OTHERS)
        assert await logins.wait(number, _MINE, 0) is None  # it goes on


@in_a_loop
async def test_it_ends_with_its_connection(tmp_path: Path) -> None:
    work = FolderIdentity("work", tmp_path)
    async with _running() as (logins, audit):
        number = await _begin(logins, work)
        logins.closed(_MINE)
        await until(lambda: audit.kinds() == ["login_begun", "login_failed"])
        await until(lambda: not logins.holds(_MINE))
        with pytest.raises(NotFound):
            await logins.wait(number, _MINE, 0)
        work.answer("yes")  # nobody is there to take it
        await _begin(logins, work, connection=_OTHERS)


@in_a_loop
async def test_it_ends_with_its_connection_even_before_it_has_begun(
    tmp_path: Path,
) -> None:
    class Slow(FolderIdentity):
        go_on = threading.Event()
        made: FolderLogin | None = None

        def login(self, mode: Mode) -> FolderLogin:
            self.go_on.wait(10)
            self.made = super().login(mode)
            return self.made

    work = Slow("work", tmp_path)
    async with _running() as (logins, audit):
        beginning = asyncio.get_running_loop().create_task(_begin(logins, work))
        await until(lambda: audit.kinds() == ["login_begun"])
        logins.closed(_MINE)
        work.go_on.set()
        await asyncio.wait({beginning})
        await until(lambda: audit.kinds() == ["login_begun", "login_failed"])
        assert work.made is not None
        assert work.made._cancelled.is_set()


@in_a_loop
async def test_a_provider_that_never_says_where_to_go_on_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on = threading.Event()

    class Stuck(FolderIdentity):
        def login(self, mode: Mode) -> FolderLogin:
            go_on.wait(10)
            return super().login(mode)

    monkeypatch.setattr(module, "BEGIN_SECONDS", 0.01)
    work = Stuck("work", tmp_path)
    async with _running() as (logins, audit):
        with pytest.raises(BackendTimeout):
            await _begin(logins, work)
        with pytest.raises(LoginUnderWay):  # its thread is not free yet
            await _begin(logins, work)
        go_on.set()
        await until(lambda: audit.kinds() == ["login_begun", "login_failed"])
        monkeypatch.setattr(module, "BEGIN_SECONDS", 10.0)
        await _begin(logins, work)


@in_a_loop
async def test_the_daemons_end_ends_them_all(tmp_path: Path) -> None:
    async with _running() as (logins, audit):
        for name in ("work", "home"):
            await _begin(logins, FolderIdentity(name, tmp_path))
        await logins.end(5.0)
        with pytest.raises(BackendUnavailable, match="stopping"):
            await _begin(logins, FolderIdentity("late", tmp_path))
        assert sorted(audit.kinds()) == ["login_begun"] * 2 + ["login_failed"] * 2


@in_a_loop
async def test_without_an_audit_none_begins(tmp_path: Path) -> None:
    class Untouched(FolderIdentity):
        def login(self, mode: Mode) -> FolderLogin:
            raise AssertionError(mode)

    async with _running() as (logins, audit):
        audit.broken = "identity.login_begun"
        with pytest.raises(AuditUnavailable):
            await _begin(logins, Untouched("work", tmp_path))


@in_a_loop
async def test_a_failure_stands_whether_or_not_it_can_be_written(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    work = FolderIdentity("work", tmp_path)
    async with _running() as (logins, audit):
        audit.broken = "identity.login_failed"
        number = await _begin(logins, work)
        work.answer("no")
        with pytest.raises(LoginRefused):
            await logins.wait(number, _MINE, 5)

    assert "not in the audit" in caplog.text


@in_a_loop
async def test_no_login_whose_end_nobody_asks_for_complains_of_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with _running() as (logins, _audit):
        await _begin(logins, FolderIdentity("work", tmp_path))
        logins.closed(_MINE)

    assert caplog.text == ""


@in_a_loop
async def test_what_a_person_types_reaches_the_login_that_asks(tmp_path: Path) -> None:
    work = FolderIdentity("work", tmp_path)
    work.file("asks").write_text("the number")
    async with _running() as (logins, _audit):
        number = await _begin(logins, work)
        with pytest.raises(NotFound):
            logins.answer(number, _OTHERS, "123456")
        with pytest.raises(UsageError, match="no number"):
            logins.answer(number, _MINE, "abc")
        assert await logins.wait(number, _MINE, 0) is None
        logins.answer(number, _MINE, "123456")
        assert await logins.wait(number, _MINE, 5) == READY


@in_a_loop
async def test_a_login_in_a_browser_takes_nothing_that_is_typed(tmp_path: Path) -> None:
    async with _running() as (logins, _audit):
        number = await _begin(logins, FolderIdentity("work", tmp_path))
        with pytest.raises(UsageError, match="asks for nothing"):
            logins.answer(number, _MINE, "123456")
