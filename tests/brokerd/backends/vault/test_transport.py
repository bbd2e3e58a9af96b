"""Which server gets a request, and which gets none, where one of them fails, hangs or lies?"""

from __future__ import annotations

import json
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from brokerd.backends.vault import transport
from brokerd.backends.vault.faults import translated
from brokerd.blocking import DEADLINE_SECONDS
from brokerd.roundtrip import TOTAL_SECONDS
from brokershim.errors import (
    BackendTimeout,
    BackendUnavailable,
    BrokerError,
    RateLimited,
    ServerDown,
    ServerSealed,
    ServerStandby,
)
from tests.support.bare_server import BareServer
from tests.support.provider import Answer, Asked, Misbehave, Provider
from tests.support.vault_client import vault_at

SECONDS = 0.6
TOKEN = "hvs.CAESIJ-a-token-that-nobody-may-see"
FOUND = Answer(200, json.dumps({"data": {"key": "of the second"}}).encode())
JWT = "eyJh.eyJz.c2ln"
SEALED = Answer(503, b'{"errors":["Vault is sealed"]}')


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take no pause between rounds, and little time for all of them."""
    monkeypatch.setattr(transport, "_PAUSES", (0.0, 0.0))
    monkeypatch.setattr(transport, "TOTAL_SECONDS", SECONDS)


@pytest.fixture(scope="module")
def running() -> Iterator[tuple[Provider, Provider]]:
    with Provider(lambda _: FOUND) as one, Provider(lambda _: FOUND) as other:
        yield one, other


@pytest.fixture
def first(running: tuple[Provider, Provider]) -> Provider:
    return _fresh(running[0])


@pytest.fixture
def second(running: tuple[Provider, Provider]) -> Provider:
    return _fresh(running[1])


def _fresh(server: Provider) -> Provider:
    server.reply = lambda _: FOUND
    server.asked.clear()
    return server


@pytest.fixture
def hanging() -> Iterator[BareServer]:
    """Serve nobody: connections are taken, and nothing is answered."""
    with BareServer(lambda _: _over(server)) as server:
        yield server


def _over(server: BareServer) -> None:
    server.over.wait(30)


def _gone() -> str:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        return f"http://127.0.0.1:{gone.getsockname()[1]}"


def _read(*addresses: str, once: bool = False) -> Any:
    return vault_at(*addresses).client(TOKEN, once=once).read("secret/a")


def _write(*addresses: str) -> Any:
    return vault_at(*addresses).client(TOKEN).write_data("auth/x/login", data={"jwt": JWT})


def _error(ask: Callable[..., Any], *addresses: str, **how: Any) -> BackendUnavailable:
    with pytest.raises(BackendUnavailable) as caught, translated("reading a"):
        ask(*addresses, **how)
    assert caught.value.__context__ is None
    assert TOKEN not in repr(caught.value) + str(caught.value.details)
    return caught.value


def test_a_request_goes_out_as_it_should(second: Provider) -> None:
    vault_at(second.url, namespace="team-a").client(TOKEN).write_data("a/b", data={"c": "d"})
    (asked,) = second.asked
    assert (asked.method, asked.target, asked.body) == ("POST", "/v1/a/b", b'{"c": "d"}')
    assert asked.headers == {
        "host": second.url.removeprefix("http://"),
        "accept": "application/json",
        "accept-encoding": "identity",
        "connection": "close",
        "content-length": "10",
        "content-type": "application/json",
        "user-agent": "brokerctl",
        "x-vault-namespace": "team-a",
        "x-vault-request": "true",
        "x-vault-token": TOKEN,
    }


def test_a_login_and_a_request_are_over_before_nobody_waits_any_more() -> None:
    assert 2 * TOTAL_SECONDS < DEADLINE_SECONDS


def test_without_a_token_none_goes_out(second: Provider) -> None:
    vault_at(second.url).client().read("a")
    assert "x-vault-token" not in second.asked[0].headers


def test_a_gateway_may_have_a_path_of_its_own(second: Provider) -> None:
    _read(second.url + "/team/vault")
    assert second.asked[0].target == "/team/vault/v1/secret/a"


@pytest.mark.parametrize("ask", [_read, _write])
def test_one_that_is_away_is_passed_over(second: Provider, ask: Callable[..., Any]) -> None:
    assert ask(_gone(), second.url)["data"] == {"key": "of the second"}
    assert len(second.asked) == 1


@pytest.mark.parametrize("ask", [_read, _write])
@pytest.mark.parametrize(
    "said",
    [
        SEALED,
        Answer(412, b'{"errors":["required index state not present"]}'),
        Answer(472, b"{}"),
        Answer(473, b"{}"),
        Answer(474, b"{}"),
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


@pytest.mark.parametrize(
    "said",
    [
        Answer(307, b"", (("location", "https://elsewhere.example/v1/a"),)),
        Answer(500, b'{"errors":["local node not active but active cluster node not found"]}'),
    ],
    ids=["307", "500"],
)
def test_a_standby_may_have_passed_it_on_before_it_says_so(
    first: Provider, second: Provider, said: Answer
) -> None:
    """The active server may act on a request, and die before it answers the standby."""
    first.reply = lambda _: said
    assert _read(first.url, second.url)["data"]
    error = _error(_write, first.url, second.url)
    assert isinstance(error, ServerStandby)
    assert error.details["sent"] is True
    assert len(second.asked) == 1


@pytest.mark.parametrize(
    "said", [Answer(500), Answer(502, b"<html>"), Answer(302), Answer(200, b"[]")]
)
def test_one_that_fails_is_passed_over_by_what_may_be_repeated(
    first: Provider, second: Provider, said: Answer
) -> None:
    first.reply = lambda _: said
    assert _read(first.url, second.url)["data"]
    error = _error(_write, first.url, second.url)
    assert isinstance(error, ServerDown)
    assert error.details["sent"] is True
    assert len(second.asked) == 1


def test_nor_is_what_makes_something_repeated(first: Provider, second: Provider) -> None:
    """A read that makes a lease would make two, of which nobody knows the first."""
    first.reply = lambda _: Answer(500)
    assert _error(_read, first.url, second.url, once=True).details["sent"] is True
    assert len(first.asked) == 1
    assert second.asked == []
    assert _error(_read, _gone(), first.url, once=True).details["sent"] is True


def test_one_that_breaks_off_may_have_had_it(first: Provider, second: Provider) -> None:
    def hang_up(_: Asked) -> Answer:
        raise Misbehave(b"HTTP/1.1 200 OK\r\n")

    first.reply = hang_up
    assert "breaks off" in _error(_write, first.url, second.url).message
    assert second.asked == []


@pytest.fixture
def longer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave time for an answer, though the machine may be busy."""
    monkeypatch.setattr(transport, "TOTAL_SECONDS", 2 * SECONDS)


@pytest.mark.usefixtures("longer")
def test_one_that_hangs_leaves_the_next_its_time(hanging: BareServer, second: Provider) -> None:
    started = time.monotonic()
    assert _read(f"http://{hanging.host}", second.url)["data"]
    assert time.monotonic() - started < SECONDS + 5


@pytest.mark.usefixtures("longer")
def test_what_must_not_be_repeated_has_all_the_time_there_is(second: Provider) -> None:
    def slowly(_: Asked) -> Answer:
        time.sleep(SECONDS)  # more than the share of one of four servers
        return FOUND

    second.reply = slowly
    assert _write(second.url, *(f"http://127.0.0.1:{port}" for port in (1, 2, 3)))["data"]


def test_what_hangs_is_not_repeated_where_that_may_do_harm(
    hanging: BareServer, second: Provider
) -> None:
    vault = vault_at(f"http://{hanging.host}", second.url)
    with pytest.raises(BackendTimeout) as caught:
        vault.client(TOKEN).write_data("a", data={})
    assert caught.value.details["sent"] is True
    assert second.asked == []
    vault.client(TOKEN).write_data("a", data={})  # who asks next is served
    assert len(second.asked) == hanging.connections == 1


@pytest.mark.usefixtures("longer")
def test_a_handshake_that_hangs_sent_nothing(second: Provider) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        assert _write(f"https://127.0.0.1:{silent.getsockname()[1]}", second.url)["data"]


def test_after_one_that_hangs_there_is_no_second_round(
    hanging: BareServer, second: Provider
) -> None:
    second.reply = lambda _: SEALED
    error = _error(_read, f"http://{hanging.host}", second.url)
    assert type(error) is ServerDown
    assert hanging.connections == len(second.asked) == 1


def test_all_that_hang_are_over_in_time(hanging: BareServer) -> None:
    with BareServer(lambda _: _over(other)) as other, socket.create_server(("127.0.0.1", 0)) as tls:
        silent = f"127.0.0.1:{tls.getsockname()[1]}"
        addresses = [f"http://{hanging.host}", f"http://{other.host}", f"https://{silent}"]
        started = time.monotonic()
        error = _error(_read, *addresses)
        assert SECONDS - 0.3 < time.monotonic() - started < SECONDS + 5
    assert isinstance(error, BackendTimeout)
    assert error.details["servers"] == [hanging.host, other.host, silent]
    assert all(host in error.message for host in error.details["servers"])
    assert hanging.connections == other.connections == 1


def test_one_that_drips_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "TOTAL_SECONDS", SECONDS / 3)

    def drip(talking: socket.socket) -> None:
        talking.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 900000\r\n\r\n")
        while not server.over.wait(0.02):
            talking.sendall(b"{")

    with BareServer(drip) as server:
        assert isinstance(_error(_read, f"http://{server.host}"), BackendTimeout)


def test_ten_megabytes_are_no_answer() -> None:
    def flood(talking: socket.socket) -> None:
        talking.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 10485760\r\n\r\n")
        talking.sendall(b"a" * (10 * 1024 * 1024))

    with BareServer(flood) as server:
        assert "more than 1048576 bytes" in _error(_read, f"http://{server.host}").message


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
    assert _read(second.url)["data"]
    assert len(second.asked) == 2


def test_and_not_for_ever(second: Provider) -> None:
    second.reply = lambda _: Answer(502, b"<html>bad gateway</html>")
    error = _error(_read, second.url)
    assert "fails with status 502" in error.message
    assert "gateway" not in error.message
    assert len(second.asked) == 2


def test_a_pause_that_is_asked_for_is_taken(first: Provider, second: Provider) -> None:
    first.reply = lambda _: Answer(429, b"{}", (("retry-after", "17"),))
    error = _error(_read, first.url, second.url)
    assert isinstance(error, RateLimited)
    assert error.details["retry_after"] == 17
    assert error.details["sent"] is False
    assert len(first.asked) == 1
    assert second.asked == []


def test_all_of_them_are_named_with_what_is_wrong(first: Provider, second: Provider) -> None:
    first.reply = lambda _: SEALED
    second.reply = lambda _: Answer(473, b"{}")
    error = _error(_write, first.url, second.url)
    assert type(error) is ServerDown
    assert "is sealed; 127.0.0.1" in error.message
    assert error.message.startswith("no server of corp serves: ")
    assert error.details["sent"] is False


def test_what_is_wrong_with_all_of_them_is_the_kind(first: Provider, second: Provider) -> None:
    first.reply = second.reply = lambda _: SEALED
    error = _error(_read, first.url, second.url)
    assert isinstance(error, ServerSealed)
    assert error.hint == ServerSealed.hint
    assert len(first.asked) == len(second.asked) == 1  # it will not be over in a moment


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(first: Provider, second: Provider, status: int) -> None:
    where = (("location", f"{second.url}/v1/secret/a"),)
    first.reply = lambda _: Answer(status, b"", where)
    error = _error(_read, first.url)
    assert isinstance(error, ServerStandby if status == 307 else ServerDown)
    assert second.asked == []


@pytest.mark.parametrize(
    "said",
    [
        Answer(200, b"<html>log in</html>"),
        Answer(200, b"[1]"),
        Answer(200, b'"a"'),
        Answer(200, b""),
        Answer(200, b"[" * 100_000),
        Answer(201, b"{}"),
        Answer(403, b"<html>forbidden</html>"),
        Answer(404, b"not found"),
        Answer(404, b"{}"),
        Answer(400, b'{"errors": "no list"}'),
        Answer(400, b'{"errors": [7]}'),
        Answer(404, b'{"errors": {"a": 1}, "data": {}}'),
        Answer(404, b'[{"errors": []}]'),
    ],
    ids=lambda said: f"{said.status}-{said.body[:12]!r}",
)
def test_what_no_vault_says_is_the_servers_fault(second: Provider, said: Answer) -> None:
    """A proxy's 404 must not look like a secret that is gone, nor its page like one."""
    second.reply = lambda _: said
    error = _error(_read, second.url)
    assert type(error) is ServerDown
    assert "answers what no Vault does" in error.message
    assert "address" in error.hint


def test_a_failure_is_told_in_the_servers_words_without_what_it_was_sent(second: Provider) -> None:
    def echo(asked: Asked) -> Answer:
        said = f"cannot connect; I had {asked.headers['x-vault-token']} and {asked.body!r}"
        return Answer(500, json.dumps({"errors": [said]}).encode())

    second.reply = echo
    error = _error(_write, second.url)
    assert "fails with status 500: cannot connect; I had […]" in error.message
    assert JWT not in error.message


def test_health_is_told_by_its_status(second: Provider) -> None:
    kinds = {429: ServerStandby, 472: ServerStandby, 473: ServerStandby, 501: ServerSealed}
    for status, kind in {**kinds, 503: ServerSealed, 530: ServerDown}.items():
        second.reply = lambda _, status=status: Answer(status, b"")  # type: ignore[misc]
        with pytest.raises(kind):
            vault_at(second.url).client().sys.read_health_status()
    second.reply = lambda _: Answer(200, b"")
    vault_at(second.url).client().sys.read_health_status()


def test_no_variable_decides_where_it_goes(
    second: Provider, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    (tmp_path / ".vault-token").write_text("a-token-of-the-environment")
    (tmp_path / ".netrc").write_text("default login me password a-token-too")
    elsewhere = _gone()
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("VAULT_TOKEN", "a-token-of-the-environment")
    for name in ("VAULT_ADDR", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, elsewhere)
    for name in ("VAULT_CACERT", "VAULT_CAPATH", "VAULT_CLIENT_CERT", "VAULT_CLIENT_KEY"):
        monkeypatch.setenv(name, "/no/such/file")
        monkeypatch.setattr(f"hvac.v1.{name}", "/no/such/file", raising=False)
    monkeypatch.setenv("VAULT_NAMESPACE", "elsewhere")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/no/such/file")
    vault_at(second.url).client().read("secret/a")
    headers = second.asked[0].headers
    assert not {"x-vault-token", "authorization", "x-vault-namespace"} & headers.keys()


@pytest.mark.parametrize("token", ["a\nb", "a b", " a", "a\r\nx: y", "t\u00e9", "a\0"])
def test_what_is_no_token_is_not_sent(second: Provider, token: str) -> None:
    with pytest.raises(BrokerError) as caught:
        vault_at(second.url).client(token)
    assert caught.value.message == "corp: what should be a token is none"
    assert second.asked == []


def test_who_asks_at_once_gets_an_answer_each(second: Provider) -> None:
    vault, found = vault_at(_gone(), second.url), list[Any]()
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
    gone = _gone()
    with caplog.at_level(logging.INFO):
        _read(gone, second.url)
    assert f"corp: {gone.removeprefix('http://')} cannot be reached" in caplog.text
    assert TOKEN not in caplog.text
