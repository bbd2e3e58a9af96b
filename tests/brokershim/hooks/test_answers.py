"""What a provider says comes back without the key, and a refused key is replaced once."""

from __future__ import annotations

import gzip
import io
import logging
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from brokershim.errors import SecretNotFound
from tests.brokershim.conftest import KEY, NEW_KEY
from tests.brokershim.hooks.flavour import BEARER, FLAVOURS, QUICK, REFERENCE, Flavour
from tests.support.fakebroker import Entry, FakeBroker
from tests.support.provider import Answer, Asked, Provider, checking, honest, key_of

each_flavour = pytest.mark.parametrize("flavour", FLAVOURS, ids=str)
SYNC = [flavour for flavour in FLAVOURS if not flavour.backend]


@pytest.fixture
def strict(provider: Provider, broker: FakeBroker) -> Provider:
    """Return a provider that takes the new key only; the daemon learns of it by a report."""
    provider.reply = checking({NEW_KEY})
    answer = broker.answer

    def rotating(method: str, params: dict[str, Any]) -> dict[str, Any]:
        if method == "lease.report":
            broker.secrets["openai/dev"] = Entry(NEW_KEY, version="2")
        return answer(method, params)

    broker.answer = rotating  # type: ignore[method-assign]
    return provider


def keys(provider: Provider) -> list[str]:
    return [key_of(asked) for asked in provider.asked]


@each_flavour
def test_refused_key_is_reported_and_the_new_one_sent_once(
    flavour: Flavour, strict: Provider, broker: FakeBroker
) -> None:
    response = flavour.ask(strict.url, json={"model": "m"})
    assert response.status_code == 200
    assert keys(strict) == [KEY, NEW_KEY]
    assert strict.asked[0].body == strict.asked[1].body == b'{"model":"m"}'
    assert broker.named("lease.report") == [{"lease": "lease-1", "status": 401}]
    assert response.request.headers["authorization"] == f"Bearer {REFERENCE}"


@each_flavour
def test_stream_that_is_refused_starts_again(flavour: Flavour, strict: Provider) -> None:
    response, lines = flavour.streamed(
        f"{strict.url}/v1/chat/completions", "iter_lines", json={"model": "m", "stream": True}
    )
    assert response.status_code == 200
    assert lines[-2:] == ["data: [DONE]", ""]
    assert keys(strict) == [KEY, NEW_KEY]


@each_flavour
def test_key_that_is_still_the_same_is_not_sent_again(
    flavour: Flavour, provider: Provider, broker: FakeBroker
) -> None:
    response = flavour.ask(f"{provider.url}/forbidden")
    assert response.status_code == 403
    assert response.text == f"no: {REFERENCE}!"
    assert len(provider.asked) == 1
    assert broker.named("lease.report") == [{"lease": "lease-1", "status": 403}]


@each_flavour
def test_second_refusal_is_the_answer(
    flavour: Flavour, strict: Provider, broker: FakeBroker
) -> None:
    strict.reply = checking(set())
    response = flavour.ask(strict.url)
    assert response.status_code == 401
    assert keys(strict) == [KEY, NEW_KEY]
    assert NEW_KEY not in response.text
    assert REFERENCE in response.text
    assert len(broker.named("lease.report")) == 1


@each_flavour
def test_key_that_cannot_be_had_any_more_is_a_refusal(
    flavour: Flavour, strict: Provider, broker: FakeBroker
) -> None:
    broker.refuse["lease.report"] = SecretNotFound("no secret openai/dev")
    response = flavour.ask(strict.url)
    assert response.status_code == 403
    assert response.json()["error"]["code"] == "not_found.secret"


@pytest.mark.parametrize("flavour", SYNC, ids=str)
def test_first_answer_is_closed_before_the_second_request(
    flavour: Flavour, strict: Provider
) -> None:
    one = flavour.library.Limits(max_connections=1)
    with flavour.library.Client(**QUICK, limits=one) as client:
        assert client.post(strict.url, headers=BEARER, timeout=5).status_code == 200


@each_flavour
@pytest.mark.parametrize("kind", ["bytes", "form", "in memory", "on disk"])
def test_body_that_can_be_sent_again_is_the_same(
    flavour: Flavour, strict: Provider, tmp_path: Path, kind: str
) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"hello")
    with path.open("rb") as file:
        bodies: dict[str, dict[str, Any]] = {
            "bytes": {"content": b"hello"},
            "form": {"data": {"a": "b"}},
            "in memory": {"files": {"file": ("a", b"hello"), "b": ("b", io.BytesIO(b"there"))}},
            "on disk": {"data": {"model": "m"}, "files": {"file": file}},
        }
        assert flavour.ask(strict.url, **bodies[kind]).status_code == 200
    assert strict.asked[0].body == strict.asked[1].body != b""


class OneShot(io.RawIOBase):
    """A file that cannot be read twice, such as a pipe."""

    def __init__(self) -> None:
        self.parts = [b"hello"]

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        del size
        return self.parts.pop() if self.parts else b""


def parts() -> Iterator[bytes]:
    yield b"hello"


async def aparts() -> AsyncIterator[bytes]:
    yield b"hello"


@each_flavour
@pytest.mark.parametrize("kind", ["iterator", "pipe"])
def test_body_that_cannot_be_sent_again_is_not(
    flavour: Flavour, strict: Provider, broker: FakeBroker, kind: str
) -> None:
    iterator = aparts() if flavour.backend else parts()
    body: dict[str, Any] = {"content": iterator}
    if kind == "pipe":
        body = {"files": {"file": ("a", OneShot())}}
    response = flavour.ask(strict.url, **body)
    assert response.status_code == 401
    assert KEY not in response.text
    assert keys(strict) == [KEY]
    assert len(broker.named("lease.report")) == 1, "so that the next request has the new key"
    assert flavour.ask(strict.url).status_code == 200


@each_flavour
@pytest.mark.parametrize("way", ["echo", "zipped", "forbidden"])
def test_key_that_is_repeated_becomes_the_reference(
    flavour: Flavour, provider: Provider, way: str
) -> None:
    response = flavour.ask(f"{provider.url}/{way}")
    assert response.status_code in (401, 403, 500)
    assert REFERENCE in response.text
    shown = f"{response.text} {response.headers.raw} {response.extensions}"
    assert KEY not in shown
    assert "content-encoding" not in response.headers
    assert int(response.headers["content-length"]) == len(response.content)


@each_flavour
def test_key_in_the_reason_phrase_becomes_the_reference(
    flavour: Flavour, provider: Provider
) -> None:
    response = flavour.ask(f"{provider.url}/reason")
    assert response.reason_phrase == f"bad key {REFERENCE}"


@each_flavour
def test_key_in_a_header_of_a_good_answer_becomes_the_reference(
    flavour: Flavour, provider: Provider
) -> None:
    response = flavour.ask(f"{provider.url}/ok-header")
    assert response.headers["x-your-key"] == REFERENCE
    assert response.text == "fine"


@each_flavour
def test_key_in_a_header_is_not_logged(
    flavour: Flavour, provider: Provider, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    flavour.ask(f"{provider.url}/ok-header")
    assert "receive_response_headers.complete" in caplog.text
    assert f"b'x-your-key', b'{REFERENCE}'" in caplog.text
    assert KEY not in caplog.text
    assert not [record for record in caplog.records if KEY in str(vars(record))]
    told = [each for each in caplog.records if "receive_response_headers" in each.getMessage()]
    assert [each.args for each in told] == [None] * max(len(told), 1)


@each_flavour
@pytest.mark.parametrize("reader", ["read", "iter_bytes", "iter_raw", "iter_text", "iter_lines"])
def test_error_can_be_streamed_like_any_answer(
    flavour: Flavour, provider: Provider, reader: str
) -> None:
    response, read = flavour.streamed(f"{provider.url}/zipped", reader)
    text = read if isinstance(read, bytes) else type(read[0])().join(read)
    assert text in (REFERENCE, REFERENCE.encode())
    assert response.status_code == 500
    assert response.is_closed


@each_flavour
def test_answer_without_a_body_keeps_its_length(flavour: Flavour, provider: Provider) -> None:
    response = flavour.ask(f"{provider.url}/echo", "HEAD")
    assert response.status_code == 401
    assert int(response.headers["content-length"]) > 0
    assert response.content == b""


@each_flavour
def test_zipped_good_answer_is_handed_on_as_it_is(flavour: Flavour, provider: Provider) -> None:
    packed = gzip.compress(b"hello")
    provider.reply = lambda _: Answer(200, packed, (("content-encoding", "gzip"),))
    response, raw = flavour.streamed(provider.url, "iter_raw")
    assert b"".join(raw) == packed
    assert response.headers["content-encoding"] == "gzip"


@pytest.mark.parametrize("flavour", SYNC, ids=str)
def test_good_answer_is_not_read_ahead(flavour: Flavour, provider: Provider) -> None:
    first_seen = threading.Event()

    class Slow(list[bytes]):
        def __iter__(self) -> Iterator[bytes]:
            yield b"first"
            assert first_seen.wait(10)
            yield b"second"

    provider.reply = lambda _: Answer(200, Slow())
    with (
        flavour.library.Client(**QUICK) as client,
        client.stream("POST", provider.url, headers=BEARER) as response,
    ):
        received = response.iter_bytes()
        assert next(received) == b"first"
        first_seen.set()
        assert list(received) == [b"second"]


@pytest.mark.parametrize("flavour", SYNC, ids=str)
def test_late_refusal_of_an_old_key_does_not_end_the_new_lease(
    flavour: Flavour, strict: Provider, broker: FakeBroker
) -> None:
    """Two requests with the old key are under way; both are refused, one after the other."""
    both, late = threading.Barrier(2), threading.Event()

    def reply(asked: Asked) -> Answer:
        if key_of(asked) == NEW_KEY:
            return honest(asked)
        both.wait(10)
        if asked.body == b"late":
            late.wait(10)
        return Answer(401)

    strict.reply = reply
    statuses: dict[bytes, int] = {}
    with flavour.library.Client(**QUICK) as client:

        def ask(body: bytes) -> None:
            response = client.post(strict.url, headers=BEARER, content=body)
            statuses[body] = response.status_code

        threads = [threading.Thread(target=ask, args=(body,)) for body in (b"early", b"late")]
        for thread in threads:
            thread.start()
        threads[0].join()
        late.set()
        threads[1].join()
    assert statuses == {b"early": 200, b"late": 200}
    assert len(broker.named("lease.report")) == 1
    assert len(broker.named("lease.acquire")) == 2
