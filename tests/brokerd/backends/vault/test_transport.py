"""Which server gets a request, and which gets none, where one of them fails?"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any

import pytest

from brokershim.errors import (
    RateLimited,
    ServerDown,
    ServerSealed,
    ServerStandby,
)
from tests.support.provider import Answer, Asked, Misbehave, Provider
from tests.support.vault_client import (
    FOUND,
    JWT,
    SEALED,
    TOKEN,
    error_of,
    gone_address,
    read,
    vault_at,
    write,
)

pytestmark = pytest.mark.usefixtures("at_once")
_REDIRECT = Answer(307, b"", (("location", "https://elsewhere.example/v1/a"),))


@pytest.mark.parametrize("ask", [read, write])
def test_one_that_is_away_is_passed_over(second: Provider, ask: Callable[..., Any]) -> None:
    assert ask(gone_address(), second.url)["data"] == {"key": "of-the-tests"}
    assert len(second.asked) == 1


@pytest.mark.parametrize("ask", [read, write])
@pytest.mark.parametrize(
    "said",
    [
        SEALED,
        Answer(412, b'{"errors":["required index state not present"]}'),
        Answer(472, b"{}"),
        Answer(473, b"{}"),
        Answer(474, b"{}"),
        Answer(500, b'{"errors":["local node not active but active cluster node not found"]}'),
        Answer(501, b"{}"),
    ],
    ids=lambda said: str(said.status),
)
def test_so_is_one_that_surely_did_nothing(
    first: Provider, second: Provider, said: Answer, ask: Callable[..., Any]
) -> None:
    first.reply = lambda _: said
    assert ask(first.url, second.url)["data"]
    assert len(first.asked) == len(second.asked) == 1


def test_a_standby_may_have_passed_it_on_before_it_redirects(
    first: Provider, second: Provider
) -> None:
    """The active server may act on a request, and die before it answers the standby."""
    first.reply = lambda _: _REDIRECT
    assert read(first.url, second.url)["data"]
    error = error_of(write, first.url, second.url)
    assert isinstance(error, ServerStandby)
    assert error.details["sent"] is True
    assert len(second.asked) == 1


def test_a_login_goes_on_to_the_next_all_the_same(first: Provider, second: Provider) -> None:
    first.reply = lambda _: _REDIRECT
    login = vault_at(first.url, second.url).client()
    assert login.write_data("auth/x/login", data={"jwt": JWT})["data"]
    assert len(first.asked) == len(second.asked) == 1
    first.reply = second.reply = lambda _: Answer(500)
    with pytest.raises(ServerDown):
        login.write_data("auth/x/login", data={"jwt": JWT})
    assert len(first.asked) + len(second.asked) == 3


@pytest.mark.parametrize(
    "said", [Answer(500), Answer(502, b"<html>"), Answer(302), Answer(200, b"[]")]
)
def test_one_that_fails_is_passed_over_by_what_may_be_repeated(
    first: Provider, second: Provider, said: Answer
) -> None:
    first.reply = lambda _: said
    assert read(first.url, second.url)["data"]
    error = error_of(write, first.url, second.url)
    assert isinstance(error, ServerDown)
    assert error.details["sent"] is True
    assert len(second.asked) == 1


def test_nor_is_what_makes_something_repeated(first: Provider, second: Provider) -> None:
    """A read that makes a lease would make two, of which nobody knows the first."""
    first.reply = lambda _: Answer(500)
    assert error_of(read, first.url, second.url, once=True).details["sent"] is True
    assert len(first.asked) == 1
    assert second.asked == []
    assert error_of(read, gone_address(), first.url, once=True).details["sent"] is True


def test_one_that_breaks_off_may_have_had_it(first: Provider, second: Provider) -> None:
    def hang_up(_: Asked) -> Answer:
        raise Misbehave(b"HTTP/1.1 200 OK\r\n")

    first.reply = hang_up
    assert "breaks off" in error_of(write, first.url, second.url).message
    assert second.asked == []


def test_the_one_that_served_last_comes_first(first: Provider, second: Provider) -> None:
    vault = vault_at(first.url, second.url)
    vault.client(TOKEN).read("a")
    assert second.asked == []
    first.reply = lambda _: SEALED
    for _ in range(3):
        vault.client(TOKEN).read("a")
    assert (len(first.asked), len(second.asked)) == (2, 3)
    first.reply, second.reply = second.reply, first.reply
    vault.client(TOKEN).read("a")
    assert (len(first.asked), len(second.asked)) == (3, 4)


def test_what_may_be_over_in_a_moment_is_tried_once_more(second: Provider) -> None:
    answers = iter([Answer(500), FOUND])
    second.reply = lambda _: next(answers)
    assert read(second.url)["data"]
    assert len(second.asked) == 2


def test_and_not_for_ever(second: Provider) -> None:
    second.reply = lambda _: Answer(502, b"<html>bad gateway</html>")
    error = error_of(read, second.url)
    assert "fails with status 502" in error.message
    assert "gateway" not in error.message
    assert len(second.asked) == 2


def test_a_pause_that_is_asked_for_is_taken(first: Provider, second: Provider) -> None:
    first.reply = lambda _: Answer(429, b"{}", (("retry-after", "17"),))
    error = error_of(read, first.url, second.url)
    assert isinstance(error, RateLimited)
    assert error.details["retry_after"] == 17
    assert error.details["sent"] is False
    assert len(first.asked) == 1
    assert second.asked == []


def test_all_of_them_are_named_with_what_is_wrong(first: Provider, second: Provider) -> None:
    first.reply = lambda _: SEALED
    second.reply = lambda _: Answer(473, b"{}")
    error = error_of(write, first.url, second.url)
    assert type(error) is ServerDown
    assert "is sealed; 127.0.0.1" in error.message
    assert error.message.startswith("no server of corp serves: ")
    assert error.details["sent"] is False


def test_what_is_wrong_with_all_of_them_is_the_kind(first: Provider, second: Provider) -> None:
    first.reply = second.reply = lambda _: SEALED
    error = error_of(read, first.url, second.url)
    assert isinstance(error, ServerSealed)
    assert error.hint == ServerSealed.hint
    assert len(first.asked) == len(second.asked) == 1  # it will not be over in a moment


def test_who_asks_at_once_gets_an_answer_each(second: Provider) -> None:
    vault, found = vault_at(gone_address(), second.url), list[Any]()
    threads = [
        threading.Thread(target=lambda: found.append(vault.client(TOKEN).read("a")))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8


def test_the_log_says_what_was_passed_over(
    second: Provider, caplog: pytest.LogCaptureFixture
) -> None:
    gone = gone_address()
    with caplog.at_level(logging.INFO):
        read(gone, second.url)
    assert f"corp: {gone.removeprefix('http://')} cannot be reached" in caplog.text
    assert TOKEN not in caplog.text
