"""How does the daemon ask a server over HTTP?"""

from __future__ import annotations

import email.utils
import json
import socket
import time
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brokerd import http
from brokershim.errors import BackendUnavailable, BrokerError, ConfigError, RateLimited, ServerDown
from tests.support.bare_server import BareServer
from tests.support.provider import Answer, Asked, Misbehave, Provider

ASSERTION = "eyJhbGciOiJub25lIn0.e30.an-assertion-that-nobody-may-see"
FORM = {"assertion": ASSERTION}


@pytest.fixture(autouse=True)
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Take no pause, and note each."""
    taken: list[float] = []
    monkeypatch.setattr("brokerd.http.time.sleep", taken.append)
    return taken


@pytest.fixture
def server() -> Iterator[Provider]:
    with Provider(lambda _: Answer(200, b'{"a": 1}')) as running:
        yield running


def _post_error(url: str) -> BackendUnavailable:
    with pytest.raises(BackendUnavailable) as caught:
        http.post_form(url, FORM)
    _shows_nothing(caught.value)
    return caught.value


def _shows_nothing(error: BaseException) -> None:
    """Check that neither the error nor what stands behind it repeats a token or a URL."""
    shown: BaseException | None = error
    while shown is not None:
        text = repr(shown) + str(shown) + repr(vars(shown))
        assert ASSERTION not in text
        assert "/secret-path" not in text
        shown = shown.__cause__ or shown.__context__


def test_a_form_arrives_as_one(server: Provider) -> None:
    reply = http.post_form(server.url + "/t?x=1", {"a": "1 &", "b": "ü"}, {"x-more": "yes"})
    assert reply.document() == {"a": 1}
    asked = server.asked[0]
    assert (asked.method, asked.target, asked.body) == ("POST", "/t?x=1", b"a=1+%26&b=%C3%BC")
    assert asked.headers["content-type"] == "application/x-www-form-urlencoded"
    assert asked.headers["x-more"] == "yes"
    assert asked.headers["host"] == f"127.0.0.1:{server.port}"
    assert asked.headers["accept-encoding"] == "identity"


def test_an_object_arrives_as_one(server: Provider) -> None:
    http.post_json(server.url, {"a": "ü"}, {})
    assert json.loads(server.asked[0].body) == {"a": "ü"}
    assert server.asked[0].headers["content-type"] == "application/json"


def test_a_refusal_is_an_answer(server: Provider) -> None:
    server.reply = lambda _: Answer(401, b'{"error": "no"}')
    reply = http.post_form(server.url, FORM)
    assert (reply.status, reply.document()) == (401, {"error": "no"})


@pytest.mark.parametrize("body", [b"<html>", b"", b"[1]", b"\xff", b"[" * 100_000, b'"a"'])
def test_what_is_no_object_is_an_empty_one(server: Provider, body: bytes) -> None:
    server.reply = lambda _: Answer(200, body)
    assert http.get(server.url).document() == {}


def test_a_reply_shows_no_body(server: Provider) -> None:
    server.reply = lambda _: Answer(200, ASSERTION.encode())
    assert ASSERTION not in repr(http.get(server.url))


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308, 300, 304])
def test_no_redirect_is_followed(server: Provider, status: int) -> None:
    with Provider(lambda _: Answer()) as other:
        server.reply = lambda _: Answer(status, b"", (("location", other.url + "/secret-path"),))
        error = _post_error(server.url)
        assert "redirects" in error.message
        assert error.details == {"sent": True, "temporary": False}
        assert len(other.asked) == 0
    assert len(server.asked) == 1


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_a_document_is_asked_for_again(server: Provider, status: int, pauses: list[float]) -> None:
    answers = iter([Answer(status), Answer(status), Answer(200, b'{"a": 2}')])
    server.reply = lambda _: next(answers)
    assert http.get(server.url).document() == {"a": 2}
    assert len(pauses) == 2
    assert 0 < pauses[0] < 0.4 < 2 * pauses[1] < 2


def test_and_not_for_ever(server: Provider) -> None:
    server.reply = lambda _: Answer(503)
    with pytest.raises(ServerDown, match="fails with status 503"):
        http.get(server.url)
    assert len(server.asked) == 3


@pytest.mark.parametrize("status", [500, 503, 599])
def test_a_request_that_was_sent_is_not_sent_again(server: Provider, status: int) -> None:
    server.reply = lambda _: Answer(status)
    assert _post_error(server.url).details == {"sent": True, "temporary": status != 599}
    assert len(server.asked) == 1


def test_nor_where_nobody_knows_what_came_of_it(server: Provider) -> None:
    def hang_up(asked: Asked) -> Answer:
        raise Misbehave(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n" + asked.body[:2])

    server.reply = hang_up
    error = _post_error(server.url)
    assert "breaks off" in error.message
    assert error.details == {"sent": True, "temporary": True}
    assert len(server.asked) == 1


def test_what_never_left_is_tried_again_and_said_to_be_unsent(pauses: list[float]) -> None:
    with Provider(lambda _: Answer()) as gone:
        url = gone.url
    error = _post_error(url + "/secret-path")
    assert "cannot be reached (nothing listens there)" in error.message
    assert error.details == {"sent": False, "temporary": True}
    assert len(pauses) == 2


def test_a_later_try_may_get_through(server: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    connect, refusals = socket.create_connection, iter([ConnectionRefusedError(), OSError()])

    def reluctant(*args: object) -> socket.socket:
        for refusal in refusals:
            raise refusal
        return connect(*args)  # type: ignore[arg-type]  # as it was called

    monkeypatch.setattr("brokerd.roundtrip.socket.create_connection", reluctant)
    assert http.post_form(server.url, FORM).status == 200
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("7", 7), ("0", 0), (" 9 ", 9), ("999999999", 3600), ("9" * 400, 3600), ("-5", None)],
)
def test_a_pause_in_seconds(server: Provider, header: str, seconds: float | None) -> None:
    server.reply = lambda _: Answer(429, b"{}", (("retry-after", header),))
    error = _post_error(server.url)
    assert isinstance(error, RateLimited)
    assert error.details.get("retry_after") == seconds
    assert len(server.asked) == 1


def test_a_pause_until_a_date(server: Provider) -> None:
    date = email.utils.formatdate(time.time() + 90, usegmt=True)
    server.reply = lambda _: Answer(429, b"{}", (("retry-after", date),))
    assert 80 < _post_error(server.url).details["retry_after"] < 91


@pytest.mark.parametrize("header", [None, "soon", "", "Mon, 99 Nov 2026 10:00:00 GMT", "x" * 9999])
def test_a_pause_of_unknown_length(server: Provider, header: str | None) -> None:
    server.reply = lambda _: Answer(429, b"{}", (("retry-after", header),) if header else ())
    error = _post_error(server.url)
    assert isinstance(error, RateLimited)
    assert "retry_after" not in error.details


@pytest.mark.parametrize("off", [600, -600, 0])
def test_the_clock_of_the_server_is_compared(off: int) -> None:
    date = email.utils.formatdate(time.time() + off, usegmt=True)
    answer = f"HTTP/1.1 200 OK\r\ndate: {date}\r\ncontent-length: 0\r\n\r\n".encode()
    with BareServer(lambda talking: talking.sendall(answer)) as bare:
        skew = http.get(bare.url).skew
    assert skew is not None
    assert off - 2 < skew < off + 1


@given(st.text(max_size=80))
def test_no_date_breaks_anything(text: str) -> None:
    until = http._until(text)
    assert until is None or isinstance(until, float)


@pytest.mark.parametrize("value", ["a\r\nx-evil: 1", "a\n", "\0", "ü"])
def test_no_header_becomes_two(server: Provider, value: str) -> None:
    with pytest.raises(BrokerError) as caught:
        http.post_form(server.url, FORM, {"x-more": value})
    assert value not in caught.value.message
    assert len(server.asked) == 0


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/token",
        "ftp://127.0.0.1/",
        "https://user@example.com/",
        "https://example.com/#part",
        "https://example.com/a b",
        "https://example.com/\r\nx",
        "https://exämple.com/",
        "https:///token",
        "https://[::1/",
        "https://a:99999/",
        "token",
    ],
)
def test_tokens_go_to_no_such_url(url: str) -> None:
    with pytest.raises(ConfigError, match="here is no") as refused:
        http.check_url("here", url)
    assert refused.value.hint != ConfigError.hint


@pytest.mark.parametrize("url", ["https://a.example/t?x=1", "http://127.0.0.1:1/", "http://[::1]/"])
def test_and_to_these_they_do(url: str) -> None:
    assert http.check_url("here", url) == url


def test_no_proxy_of_the_environment_sees_a_token(
    server: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Provider(lambda _: Answer(200, b'{"proxy": 1}')) as proxy:
        for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        assert http.post_form(server.url, FORM).document() == {"a": 1}
        assert len(proxy.asked) == 0


def test_a_name_that_nobody_has_is_said_to_be_none(pauses: list[float]) -> None:
    error = _post_error("https://login.invalid/token")  # RFC 6761, section 6.4: never a host
    assert error.message == "login.invalid cannot be reached (its name leads to no address)"
    assert len(pauses) == 2
