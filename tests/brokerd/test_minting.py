"""However the making of a key ends: nothing is left that is neither in the journal nor revoked."""

from __future__ import annotations

import asyncio
from pathlib import Path
from unittest import mock

import pytest

from brokershim.errors import (
    AuditUnavailable,
    BackendRefused,
    BackendTimeout,
    BackendUnavailable,
    BrokerError,
    LoginRequired,
    NamespaceNotFound,
    RateLimited,
    SecretNotFound,
    ServerDown,
    ServerSealed,
    ServerStandby,
)
from tests.support.backends import WHOM, FakeBackend
from tests.support.minting import a_mint
from tests.support.serving import in_a_loop, until

_LOGIN = "login-1"
_UNSENT = {"sent": False}


@in_a_loop
async def test_each_lease_gets_a_key_of_its_own(tmp_path: Path) -> None:
    async with a_mint(tmp_path) as mint:
        assert mint.minting.makes("a")
        made = [(await mint.minting.make("a", WHOM))[1] for _ in range(3)]
        assert len({each.value for each in made}) == 3
        entries = [(each.lease, each.upstream) for each in mint.journal.pending()]
        assert entries == [(each.lease, each.upstream) for each in made]
        assert set(mint.backend.live) == {each.upstream for each in made}


@in_a_loop
async def test_what_ends_all_that_is_made_is_in_the_journal_before_the_backend_is_asked(
    tmp_path: Path,
) -> None:
    async with a_mint(tmp_path) as mint:
        mint.backend.gate.clear()
        making = asyncio.create_task(mint.minting.make("a", WHOM))
        assert await asyncio.to_thread(mint.backend.reading.acquire, timeout=5)
        assert mint.pending() == [_LOGIN]
        assert _LOGIN in (tmp_path / "journal").read_text()
        mint.backend.gate.set()
        await making
        assert mint.pending() == ["upstream-1"]


@in_a_loop
async def test_where_nothing_ends_it_all_the_key_itself_is_in_the_journal(tmp_path: Path) -> None:
    async with a_mint(tmp_path, FakeBackend(minting=True, risk=None)) as mint:
        await mint.minting.make("a", WHOM)
        assert mint.pending() == ["upstream-1"]
        mint.backend.lost_answer = ServerDown("away")
        with pytest.raises(ServerDown):
            await mint.minting.make("a", WHOM)
        assert (mint.pending(), len(mint.upstream)) == (["upstream-1"], 0)


_MADE_NOTHING: list[BrokerError] = [
    BackendRefused("no"),
    LoginRequired("nobody is logged in"),
    SecretNotFound("no such role"),
    NamespaceNotFound("no such namespace"),
    RateLimited("slower", details={"retry_after": 1}),
    ServerSealed("sealed"),
    ServerStandby("standby", details=_UNSENT),
    ServerDown("no connection", details=_UNSENT),
    BackendTimeout("no thread", details=_UNSENT),
    BackendUnavailable("an engine fails", details=_UNSENT),
]
_MAY_HAVE_MADE: list[Exception] = [
    ServerDown("no answer"),
    BackendTimeout("no answer"),
    BackendUnavailable("half an answer"),
    ServerDown("500", details={"sent": True}),
    ServerStandby("passed on, and lost", details={"sent": True}),
    ServerStandby("it could not pass on the answer", details={"sent": True}),
    BrokerError("who knows"),
    RuntimeError("a fault of ours"),
]


@pytest.mark.parametrize("error", _MADE_NOTHING, ids=lambda each: f"{type(each).__name__}")
@in_a_loop
async def test_where_nothing_was_made_nothing_is_ended_or_left(
    tmp_path: Path, error: BrokerError
) -> None:
    async with a_mint(tmp_path) as mint:
        await mint.minting.make("a", WHOM)
        refused = mock.patch.object(mint.backend, "make", side_effect=error)
        with refused, pytest.raises(type(error)):
            await mint.minting.make("a", WHOM)
        await mint.settles()
        assert (mint.pending(), mint.backend.revoked) == (["upstream-1"], [])


@pytest.mark.parametrize("error", _MAY_HAVE_MADE, ids=lambda each: f"{type(each).__name__}")
@in_a_loop
async def test_where_an_answer_is_lost_all_that_may_have_been_made_is_ended(
    tmp_path: Path, error: Exception
) -> None:
    async with a_mint(tmp_path) as mint:
        mint.backend.lost_answer = error
        with pytest.raises(type(error)):
            await mint.minting.make("a", WHOM)
        await mint.settles()
        assert (mint.pending(), mint.backend.revoked) == ([], [_LOGIN])
        assert mint.backend.live == {}


@pytest.mark.parametrize("failure", [ServerDown("away"), LoginRequired("nobody"), BrokerError("?")])
@in_a_loop
async def test_what_cannot_be_prepared_is_not_made(tmp_path: Path, failure: BrokerError) -> None:
    async with a_mint(tmp_path) as mint:
        mint.backend.failure = failure
        with pytest.raises(type(failure)):
            await mint.minting.make("a", WHOM)
        await mint.settles()
        assert (mint.pending(), mint.backend.revoked, mint.backend.fetches) == ([], [], 0)


@in_a_loop
async def test_a_key_that_nothing_ends_is_not_given(tmp_path: Path) -> None:
    async with a_mint(tmp_path) as mint:
        mint.backend.minting = False
        with pytest.raises(BackendUnavailable, match="nothing ends"):
            await mint.minting.make("a", WHOM)
        await mint.settles()
        assert (mint.pending(), mint.backend.revoked) == ([], [_LOGIN])


@in_a_loop
async def test_a_key_that_is_over_as_it_comes_is_ended(tmp_path: Path) -> None:
    async with a_mint(tmp_path) as mint:
        mint.backend.life = lambda: mint.now
        with pytest.raises(BackendUnavailable, match="over as it came"):
            await mint.minting.make("a", WHOM)
        await mint.settles()
        assert (mint.pending(), mint.backend.live) == ([], {})


@in_a_loop
async def test_an_answer_after_the_deadline_is_ended(tmp_path: Path) -> None:
    async with a_mint(tmp_path, deadline=0.05) as mint:
        mint.backend.gate.clear()  # which holds up what revokes, too
        with pytest.raises(BackendTimeout):
            await mint.minting.make("a", WHOM)
        assert mint.pending() == [_LOGIN]
        mint.backend.gate.set()  # now it is made
        await until(lambda: mint.backend.revoked != [] and mint.backend.live == {})
        await until(lambda: mint.pending() == [])


@in_a_loop
async def test_what_is_made_when_nobody_waits_any_more_is_ended(tmp_path: Path) -> None:
    async with a_mint(tmp_path) as mint:
        mint.backend.gate.clear()
        making = asyncio.create_task(mint.minting.make("a", WHOM))
        assert await asyncio.to_thread(mint.backend.reading.acquire, timeout=5)
        making.cancel()
        with pytest.raises(asyncio.CancelledError):
            await making
        assert mint.pending() == [_LOGIN]
        mint.backend.gate.set()
        await until(lambda: _LOGIN in mint.backend.revoked)
        await mint.settles()
        assert (mint.pending(), mint.backend.live) == ([], {})


@in_a_loop
async def test_who_gives_up_before_the_backend_is_asked_leaves_nothing(tmp_path: Path) -> None:
    async with a_mint(tmp_path) as mint:
        making = asyncio.create_task(mint.minting.make("a", WHOM))
        await asyncio.sleep(0)
        making.cancel()
        with pytest.raises(asyncio.CancelledError):
            await making
        await mint.settles()
        assert (mint.pending(), mint.backend.fetches) == ([], 0)


@in_a_loop
async def test_without_the_first_line_nothing_is_made(tmp_path: Path) -> None:
    async with a_mint(tmp_path) as mint:
        with (
            mock.patch("brokerd.linefile.os.write", side_effect=OSError(28, "full")),
            pytest.raises(AuditUnavailable),
        ):
            await mint.minting.make("a", WHOM)
        assert (mint.backend.fetches, mint.pending()) == (0, [])


@in_a_loop
async def test_without_the_second_line_the_key_is_ended_and_not_given(tmp_path: Path) -> None:
    async with a_mint(tmp_path) as mint:
        with (
            mock.patch.object(mint.journal, "amended", side_effect=AuditUnavailable("full")),
            pytest.raises(AuditUnavailable),
        ):
            await mint.minting.make("a", WHOM)
        await mint.settles()
        # Itself, and not its login: others have keys under that.
        assert (mint.pending(), mint.backend.revoked) == ([], ["upstream-1"])


@in_a_loop
async def test_a_key_whose_login_ended_while_it_was_made_is_ended_and_not_given(
    tmp_path: Path,
) -> None:
    async with a_mint(tmp_path) as mint:
        mint.backend.gate.clear()
        making = asyncio.create_task(mint.minting.make("a", WHOM))
        assert await asyncio.to_thread(mint.backend.reading.acquire, timeout=5)
        mint.backend.version += 1
        mint.backend.gate.set()
        with pytest.raises(BackendUnavailable, match="just ended"):
            await making
        await mint.settles()
        assert (mint.pending(), mint.backend.live) == ([], {})
        assert (await mint.minting.make("a", WHOM))[1].upstream == "upstream-2"


@in_a_loop
async def test_a_server_that_is_away_is_left_alone_though_preparing_needs_none(
    tmp_path: Path,
) -> None:
    async with a_mint(tmp_path) as mint:
        mint.backend.lost_answer = ServerDown("away")
        mint.backend.risk = None
        for _ in range(3):
            with pytest.raises(ServerDown):
                await mint.minting.make("a", WHOM)
        with pytest.raises(ServerDown, match="asked again in"):
            await mint.minting.make("a", WHOM)
        assert (mint.backend.fetches, mint.breaker.health(mint.now).failures) == (3, 3)


@in_a_loop
async def test_a_key_that_leases_share_is_not_made(tmp_path: Path) -> None:
    async with a_mint(tmp_path, FakeBackend()) as mint:
        assert not mint.minting.makes("a")
