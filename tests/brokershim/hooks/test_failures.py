"""An exception comes out with its type and the app's request, and without the frames below."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from types import TracebackType
from typing import Any

import pytest

from tests.brokershim.conftest import KEY
from tests.brokershim.hooks.flavour import ASYNC, BEARER, FLAVOURS, QUICK, REFERENCE, Flavour
from tests.support.misbehaviour import released
from tests.support.provider import Provider

each_flavour = pytest.mark.parametrize("flavour", FLAVOURS, ids=str)
SYNC = [flavour for flavour in FLAVOURS if not flavour.backend]
BELOW = ("httpcore", "httpcore2", "h11")

FAILURES = [
    ("no-headers", "RemoteProtocolError ReadError"),
    ("half-headers", "RemoteProtocolError ReadError"),
    ("garbage", "RemoteProtocolError"),
    ("bad-header", "RemoteProtocolError"),
    ("half-error", "RemoteProtocolError ReadError"),
    ("half-body", "RemoteProtocolError ReadError"),
    ("half-chunks", "RemoteProtocolError ReadError"),
    ("bad-gzip", "DecodingError"),
    ("stall", "ReadTimeout"),
]


@pytest.fixture(autouse=True)
def _let_go_at_the_end() -> Iterator[None]:
    released.clear()
    yield
    released.set()


def chain_of(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def frames_of(trace: TracebackType | None) -> Iterator[Any]:
    while trace is not None:
        yield trace.tb_frame
        trace = trace.tb_next


def assert_clean(error: BaseException) -> None:
    """Check that neither the text nor any frame of an exception and its causes has the key."""
    assert KEY not in "".join(traceback.format_exception(error))
    for each in chain_of(error):
        assert KEY not in f"{each!r} {each.args} {vars(each)}"
        for frame in frames_of(each.__traceback__):
            assert KEY not in repr(frame.f_locals), frame
            package = str(frame.f_globals.get("__name__")).partition(".")[0]
            assert package not in BELOW, frame


# httpx's own: on trio it leaves generators to the collector, with the hook or without.
@pytest.mark.filterwarnings("ignore:Async generator:ResourceWarning")
@pytest.mark.filterwarnings("ignore:Exception ignored in. <async_generator")
@each_flavour
@pytest.mark.parametrize(("way", "kinds"), FAILURES, ids=[way for way, _ in FAILURES])
def test_exception_is_the_same_without_what_it_came_through(
    flavour: Flavour, provider: Provider, way: str, kinds: str
) -> None:
    with pytest.raises(flavour.library.RequestError) as raised:
        flavour.ask(f"{provider.url}/{way}", timeout=0.3)
    assert type(raised.value).__name__ in kinds.split()
    assert raised.value.request.headers["authorization"] == f"Bearer {REFERENCE}"
    assert_clean(raised.value)


@each_flavour
def test_nothing_listens(flavour: Flavour) -> None:
    with pytest.raises(flavour.library.ConnectError) as raised:
        flavour.ask("http://127.0.0.1:1")
    assert raised.value.request.headers["authorization"] == f"Bearer {REFERENCE}"
    assert_clean(raised.value)


@each_flavour
def test_exception_in_the_middle_of_a_stream(flavour: Flavour, provider: Provider) -> None:
    with pytest.raises(flavour.library.RequestError) as raised:
        flavour.streamed(f"{provider.url}/half-chunks", "iter_bytes")
    assert raised.value.request.headers["authorization"] == f"Bearer {REFERENCE}"
    assert_clean(raised.value)


@pytest.mark.parametrize("flavour", SYNC, ids=str)
def test_connection_is_given_back_after_a_failure(flavour: Flavour, provider: Provider) -> None:
    one = flavour.library.Limits(max_connections=1)
    with flavour.library.Client(**QUICK, limits=one, timeout=5) as client:
        for way in ("bad-gzip", "half-error", "garbage"):
            with pytest.raises(flavour.library.RequestError):
                client.post(f"{provider.url}/{way}", headers=BEARER)
        assert client.post(provider.url, headers=BEARER).status_code == 200


@pytest.mark.filterwarnings("ignore:Async generator:ResourceWarning")  # as above
@pytest.mark.filterwarnings("ignore:Exception ignored in. <async_generator")
@pytest.mark.parametrize("flavour", ASYNC, ids=str)
def test_connection_of_a_loop_is_given_back_after_a_failure(
    flavour: Flavour, provider: Provider
) -> None:
    one = flavour.library.Limits(max_connections=1)

    async def main() -> Any:
        async with flavour.library.AsyncClient(**QUICK, limits=one, timeout=5) as client:
            kept: list[BaseException] = []  # and what their generators belong to
            for way in ("bad-gzip", "half-error", "garbage"):
                with pytest.raises(flavour.library.RequestError) as raised:
                    await client.post(f"{provider.url}/{way}", headers=BEARER)
                kept.append(raised.value)
            return await client.post(provider.url, headers=BEARER)

    assert flavour.run(main).status_code == 200


@pytest.mark.parametrize("flavour", SYNC, ids=str)
def test_what_the_app_was_handling_stays_with_it(flavour: Flavour) -> None:
    def failing() -> None:
        local = "mine"
        raise LookupError(local)

    def asking_while_handling() -> None:
        try:
            failing()
        except LookupError:
            flavour.ask("http://127.0.0.1:1")

    with pytest.raises(flavour.library.ConnectError) as raised:
        asking_while_handling()
    first = raised.value.__context__
    assert isinstance(first, LookupError)
    *_, last = frames_of(first.__traceback__)
    assert last.f_locals == {"local": "mine"}


class Foreign(Exception):
    """Such as aiohttp's: it carries the request."""

    def __init__(self, request: Any) -> None:
        super().__init__(request)
        self.request_info = request

    def __str__(self) -> str:
        return f"cannot send {self.request_info.headers['authorization']}"


def failing_with(flavour: Flavour, make: Any) -> dict[str, Any]:
    def handle(request: Any) -> Any:
        raise make(request)

    return {"transport": flavour.transport(handle)}


@each_flavour
def test_exception_that_carries_the_request_is_replaced(flavour: Flavour) -> None:
    with pytest.raises(flavour.library.TransportError) as raised:
        flavour.ask("http://127.0.0.1", client=failing_with(flavour, Foreign))
    assert str(raised.value) == f"Foreign: cannot send Bearer {REFERENCE}"
    assert_clean(raised.value)


@each_flavour
def test_plain_exception_stays_itself_with_its_text_scrubbed(flavour: Flavour) -> None:
    error = RuntimeError(f"with {KEY}", KEY.encode(), 7)
    error.detail = f"and {KEY}"  # type: ignore[attr-defined]
    with pytest.raises(RuntimeError) as raised:
        flavour.ask("http://127.0.0.1", client=failing_with(flavour, lambda _: error))
    assert raised.value is error
    assert error.args == (f"with {REFERENCE}", REFERENCE.encode(), 7)
    assert_clean(error)


@each_flavour
@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
def test_ctrl_c_is_not_swallowed(flavour: Flavour, kind: type[BaseException]) -> None:
    error = kind()
    with pytest.raises(kind) as raised:
        flavour.ask("http://127.0.0.1", client=failing_with(flavour, lambda _: error))
    assert raised.value is error
    assert_clean(error)


@each_flavour
def test_exceptions_of_the_apps_own_body_come_through(flavour: Flavour, provider: Provider) -> None:
    def body() -> Iterator[bytes]:
        yield b"one"
        raise LookupError("mine")

    async def abody() -> Any:
        yield b"one"
        raise LookupError("mine")

    with pytest.raises(LookupError, match="mine") as raised:
        flavour.ask(provider.url, content=abody() if flavour.backend else body())
    assert_clean(raised.value)
