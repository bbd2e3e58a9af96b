"""The key arrives where it may, and everything that the app sees holds the reference."""

from __future__ import annotations

import base64
import logging
from typing import Any
from urllib.parse import unquote

import httpx
import httpx2
import pytest

from brokershim.errors import DaemonUnreachable, NotGranted
from brokershim.holder import Holder
from brokershim.hooks.httpx_hook import patch
from tests.brokershim.conftest import KEY
from tests.brokershim.hooks.flavour import BEARER, FLAVOURS, QUICK, REFERENCE, Flavour
from tests.support.fakebroker import Entry, FakeBroker
from tests.support.provider import Provider

each_flavour = pytest.mark.parametrize("flavour", FLAVOURS, ids=str)
each_library = pytest.mark.parametrize("library", [httpx, httpx2], ids=["httpx", "httpx2"])


@each_flavour
def test_key_arrives_and_the_app_sees_the_reference(flavour: Flavour, provider: Provider) -> None:
    response = flavour.ask(provider.url + "/v1/chat/completions", json={"model": "m"})
    assert response.status_code == 200
    assert provider.asked[0].headers["authorization"] == f"Bearer {KEY}"
    assert provider.asked[0].body == response.request.content
    assert response.request.headers["authorization"] == f"Bearer {REFERENCE}"
    assert response.elapsed.total_seconds() > 0


@each_library
def test_response_has_the_apps_own_request(library: Any, provider: Provider) -> None:
    with library.Client(**QUICK) as client:
        request = client.build_request("POST", provider.url, headers=BEARER, content=b"x")
        before = dict(vars(request)), request.headers.raw, request.url
        response = client.send(request)
        assert response.request is request
        assert (dict(vars(request)), request.headers.raw, request.url) == before


@each_flavour
def test_key_in_the_query_is_logged_as_the_reference(
    flavour: Flavour, provider: Provider, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    response = flavour.ask(f"{provider.url}/v1?a=%20&key={REFERENCE}", headers={})
    target = provider.asked[0].target
    assert unquote(target) == f"/v1?a= &key={KEY}"
    assert str(response.url) == f"{provider.url}/v1?a=%20&key={REFERENCE}"
    assert REFERENCE in caplog.text
    assert KEY not in unquote(caplog.text)


@each_flavour
def test_params_of_the_client_are_swapped_too(flavour: Flavour, provider: Provider) -> None:
    flavour.ask(provider.url, "GET", headers={}, params={"key": REFERENCE, "q": "a&b"})
    assert unquote(provider.asked[0].target) == f"/?key={KEY}&q=a&b"


@each_flavour
def test_basic_auth_of_the_client_is_swapped(flavour: Flavour, provider: Provider) -> None:
    flavour.ask(provider.url, headers={}, auth=("user", REFERENCE))
    coded = provider.asked[0].headers["authorization"].removeprefix("Basic ")
    assert base64.b64decode(coded).decode() == f"user:{KEY}"


@each_flavour
def test_request_without_a_reference_is_left_alone(flavour: Flavour, broker: FakeBroker) -> None:
    answer = flavour.library.Response(401, content=b"no")
    sent: list[Any] = []

    def handle(request: Any) -> Any:
        sent.append(request)
        return answer

    client = {"transport": flavour.transport(handle)}
    response = flavour.ask("http://evil.example", client=client, headers={"authorization": "x"})
    assert response is answer
    assert sent == [response.request]
    assert broker.greeted == 0


@each_flavour
def test_body_and_path_are_never_touched(flavour: Flavour, provider: Provider) -> None:
    flavour.ask(f"{provider.url}/{REFERENCE}", content=REFERENCE.encode())
    assert provider.asked[0].body == REFERENCE.encode()
    assert REFERENCE in provider.asked[0].target


@each_flavour
def test_warm_call_asks_the_daemon_nothing(
    flavour: Flavour, provider: Provider, broker: FakeBroker
) -> None:
    for _ in range(3):
        flavour.ask(provider.url)
    assert len(broker.calls) == 1


def refusal_of(response: Any) -> dict[str, Any]:
    assert response.status_code == 403
    assert response.headers["x-brokerctl"] == "refused"
    assert response.headers["content-type"] == "application/json"
    assert len(response.content) == int(response.headers["content-length"])
    error: dict[str, Any] = response.json()["error"]
    assert error["type"] == "brokerctl"
    return error


@each_flavour
def test_refusal_of_the_daemon_is_a_403_with_its_words(
    flavour: Flavour, provider: Provider, broker: FakeBroker
) -> None:
    broker.refuse["lease.acquire"] = NotGranted("no rule allows it", hint="do this")
    error = refusal_of(flavour.ask(provider.url))
    assert error["message"] == "brokerctl: no rule allows it (do this)"
    assert error["code"] == "denied.not_granted"
    assert provider.asked == []


@each_flavour
def test_daemon_that_is_gone_is_a_403(
    flavour: Flavour, provider: Provider, broker: FakeBroker
) -> None:
    broker.close()
    error = refusal_of(flavour.ask(provider.url))
    assert error["code"] == DaemonUnreachable.kind
    assert "brokerctl daemon start" in error["message"]
    assert provider.asked == []


@each_flavour
def test_other_host_is_refused_and_nothing_is_sent(flavour: Flavour, provider: Provider) -> None:
    error = refusal_of(flavour.ask(f"http://localhost:{provider.port}"))
    assert error["code"] == "denied.host"
    assert provider.asked == []


@each_flavour
def test_malformed_reference_is_refused_with_what_one_looks_like(
    flavour: Flavour, provider: Provider
) -> None:
    error = refusal_of(flavour.ask(provider.url, headers={"x-api-key": "brokerref:OPENAI"}))
    assert "brokerref:openai/dev" in error["message"]
    assert provider.asked == []


@each_flavour
def test_redirect_to_another_host_takes_no_key_along(flavour: Flavour, provider: Provider) -> None:
    elsewhere = f"http://localhost:{provider.port}"
    response = flavour.ask(
        f"{provider.url}/redirect?to={elsewhere}",
        headers={"x-api-key": REFERENCE},
        follow_redirects=True,
    )
    assert refusal_of(response)["code"] == "denied.host"
    assert [asked.target.partition("?")[0] for asked in provider.asked] == ["/redirect"]
    assert response.history[0].headers["location"] == f"{elsewhere}/landed?was={REFERENCE}"
    assert KEY not in response.history[0].text


@each_flavour
def test_redirect_to_the_same_host_keeps_the_key(flavour: Flavour, provider: Provider) -> None:
    response = flavour.ask(
        f"{provider.url}/redirect?to={provider.url}", follow_redirects=True, content=b"hello"
    )
    assert response.status_code == 200
    assert [asked.headers["authorization"] for asked in provider.asked] == [f"Bearer {KEY}"] * 2
    assert provider.asked[1].body == b"hello"


@each_flavour
def test_redirect_to_another_port_needs_it_named(
    flavour: Flavour, provider: Provider, broker: FakeBroker
) -> None:
    broker.secrets["openai/dev"] = Entry(KEY, hosts=[f"127.0.0.1:{provider.port}"])
    with Provider(provider.reply) as other:
        response = flavour.ask(
            f"{provider.url}/redirect?to={other.url}",
            headers={"x-api-key": REFERENCE},
            follow_redirects=True,
        )
        assert refusal_of(response)["code"] == "denied.host"
        assert other.asked == []


@each_library
def test_hooks_of_the_app_see_the_reference(library: Any, provider: Provider) -> None:
    seen: list[str] = []
    hooks = {
        "request": [lambda request: seen.append(str(request.headers.raw))],
        "response": [lambda response: seen.append(str(response.request.headers.raw))],
    }
    with library.Client(**QUICK, event_hooks=hooks) as client:
        client.post(provider.url, headers=BEARER)
    assert len(seen) == 2
    assert all(REFERENCE in each and KEY not in each for each in seen)


@each_flavour
def test_trace_callback_is_not_called_for_a_request_with_a_key(
    flavour: Flavour, provider: Provider
) -> None:
    called: list[str] = []

    def trace(name: str, info: object) -> Any:
        del info
        called.append(name)

    async def atrace(name: str, info: object) -> Any:
        trace(name, info)

    extensions = {"trace": atrace if flavour.backend else trace}
    flavour.ask(provider.url, extensions=extensions)
    assert called == []
    flavour.ask(provider.url, extensions=extensions, headers={})
    assert called


@each_library
def test_patching_twice_is_no_different(
    library: Any, holder: Holder, provider: Provider, broker: FakeBroker
) -> None:
    before = library.Client._send_single_request
    patch(library, holder)
    assert library.Client._send_single_request is before
    Flavour(library, None).ask(provider.url)
    assert len(broker.calls) == 1


@each_library
def test_client_without_the_method_is_told_of_and_the_reference_goes_upstream(
    library: Any, holder: Holder, capfd: pytest.CaptureFixture[str]
) -> None:
    class Library:
        __name__ = "httpx9"
        SyncByteStream = library.SyncByteStream
        AsyncByteStream = library.AsyncByteStream
        Client = type("Client", (), {})
        AsyncClient = type("AsyncClient", (), {})

    patch(Library(), holder)
    said = capfd.readouterr().err
    assert said.startswith("brokershim: httpx9 has no _send_single_request")
    assert not vars(Library.Client).keys() & {"_send_single_request"}


@each_library
def test_subclass_that_wraps_the_method_still_swaps(library: Any, provider: Provider) -> None:
    class Own(library.Client):  # type: ignore[misc]
        def _send_single_request(self, request: Any) -> Any:
            request.headers["x-own"] = "yes"
            return super()._send_single_request(request)

    with Own() as client:
        client.post(provider.url, headers=BEARER)
    assert provider.asked[0].headers["x-own"] == "yes"
    assert provider.asked[0].headers["authorization"] == f"Bearer {KEY}"


@each_library
def test_cookies_are_still_kept(library: Any) -> None:
    def handle(request: Any) -> Any:
        assert request.headers["authorization"] == f"Bearer {KEY}"
        return library.Response(200, headers={"set-cookie": "session=abc"})

    with library.Client(**QUICK, transport=library.MockTransport(handle)) as client:
        client.get("http://127.0.0.1/", headers=BEARER)
        assert client.cookies.get("session") == "abc"
