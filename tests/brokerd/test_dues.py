from __future__ import annotations

import pytest

from brokerd.blocking import Blocking
from brokerd.dues import LOOK_SECONDS, PAUSE_SECONDS, Dues, is_news, text
from brokerd.identities.base import Identity, Standing
from brokerd.standings import Standings
from brokershim.errors import BackendTimeout, ServerDown
from tests.support.identities import MachineIdentity
from tests.support.serving import in_a_loop, until


class _Person(MachineIdentity):
    """An identity that stands as the test says."""

    state = "ready"
    looks = 0

    def login(self, mode: str) -> None:
        raise AssertionError(mode)

    def standing(self) -> Standing:
        self.looks += 1
        if self.state == "down":
            raise ServerDown("the keyring does not answer")
        if self.state == "broken":
            raise KeyError("SECRET")
        return Standing(self.state, until=7200.0)  # type: ignore[arg-type]


class _Scene:
    """One identity, a clock, and what the person was told."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.hangs = False
        self.person = _Person("work")
        self.machine = MachineIdentity("machine")
        self.told: list[tuple[str, str]] = []
        self.blocking = Blocking()
        identities: dict[str, Identity] = {"work": self.person, "machine": self.machine}
        standings = Standings(identities, self.blocking)
        self.dues = Dues(standings, self.blocking, self._show, lambda: self.now)

    def _show(self, title: str, words: str) -> None:
        if self.hangs:
            raise BackendTimeout("the desktop did not answer")
        self.told.append((title, words))

    async def look(self, state: str) -> int:
        """Let a minute pass in a state; return how often the person was told."""
        self.person.state = state
        self.now += LOOK_SECONDS
        before = len(self.told)
        self.dues.look()
        assert self.dues._look is not None
        await self.dues._look
        return len(self.told) - before


@in_a_loop
async def test_a_person_is_told_once_that_a_login_is_due_and_once_that_it_is_over() -> None:
    scene = _Scene()
    states = ["ready", "due", "due", "absent", "due", "login", "login", "ready", "login", "absent"]
    assert [await scene.look(each) for each in states] == [0, 1, 0, 0, 0, 1, 0, 0, 1, 0]
    assert [title for title, _ in scene.told] == ["brokerctl"] * 3
    assert all("brokerctl login work" in words for _, words in scene.told)


@in_a_loop
async def test_who_was_never_logged_in_is_not_told() -> None:
    scene = _Scene()
    assert [await scene.look(each) for each in ("login", "absent", "login")] == [0, 0, 0]


@in_a_loop
async def test_what_is_due_as_the_daemon_starts_is_told() -> None:
    assert await _Scene().look("due") == 1


@in_a_loop
async def test_an_identity_that_cannot_be_asked_is_no_news() -> None:
    scene = _Scene()
    assert [await scene.look(each) for each in ("ready", "down")] == [0, 0]
    scene.now += PAUSE_SECONDS
    assert await scene.look("due") == 1


@in_a_loop
async def test_a_keyring_that_asks_the_person_is_not_asked_each_minute() -> None:
    scene = _Scene()
    for _ in range(10):
        await scene.look("down")
    assert scene.person.looks == 1
    scene.now += PAUSE_SECONDS
    await scene.look("down")
    assert scene.person.looks == 2


@in_a_loop
async def test_it_looks_once_a_minute_and_not_at_the_start() -> None:
    scene = _Scene()
    scene.dues.look()
    assert scene.dues._look is None
    await scene.look("ready")
    scene.now += LOOK_SECONDS - 0.1
    scene.dues.look()
    scene.now += 0.1
    scene.dues.look()
    await until(lambda: scene.person.looks == 2)


@in_a_loop
async def test_a_look_that_hangs_is_not_joined_by_a_second() -> None:
    scene = _Scene()
    await scene.look("ready")
    for _ in range(3):
        scene.now += LOOK_SECONDS
        scene.dues.look()  # the loop has had no turn: the first of them has not even begun
    await until(lambda: scene.dues._look is not None and scene.dues._look.done())
    assert scene.person.looks == 2


@in_a_loop
async def test_a_desktop_that_does_not_answer_harms_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    scene = _Scene()
    scene.hangs = True
    assert [await scene.look(each) for each in ("due", "due")] == [0, 0]
    assert caplog.text.count("nobody could be told") == 1


@pytest.mark.parametrize("seen", [None, "ready", "due", "login"])
def test_that_all_is_well_is_no_news(seen: str | None) -> None:
    assert not is_news(seen, "ready")


@pytest.mark.parametrize(
    ("until_seconds", "words"),
    [(7200.0, "in 2 h"), (3599.0, "in 59 min"), (5.0, "in 1 min"), (None, "soon")],
)
def test_the_words_say_when(until_seconds: float | None, words: str) -> None:
    assert words in text("work", Standing("due", until=until_seconds))


@in_a_loop
async def test_a_fault_of_ours_is_said_and_the_next_look_looks_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    scene = _Scene()
    with pytest.raises(KeyError):
        await scene.look("broken")
    assert "nobody knows whether a login is due: KeyError" in caplog.text
    assert "SECRET" not in caplog.text
    assert await scene.look("due") == 1
