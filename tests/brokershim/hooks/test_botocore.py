"""What boto3 sends is signed by credentials that nothing of it ever holds."""

from __future__ import annotations

import functools
import importlib
import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from brokershim.errors import NotGranted
from brokershim.holder import Holder
from brokershim.hooks.botocore_hook import patch
from brokershim.reference import reference
from tests.brokershim.conftest import Clock
from tests.support.bedrock import HELLO, MODEL, NAME, ONE, REGION, TWO, Bedrock
from tests.support.fakebroker import Entry, FakeBroker
from tests.support.provider import Answer, Asked, Misbehave, Provider

ASKED = {"modelId": MODEL, "messages": [{"role": "user", "content": [{"text": "hello"}]}]}

httpsession: Any = importlib.import_module("botocore.httpsession")  # it carries no types
exceptions: Any = importlib.import_module("botocore.exceptions")


@pytest.fixture(autouse=True)
def patched(holder: Holder, monkeypatch: pytest.MonkeyPatch) -> None:
    session = httpsession.URLLib3Session
    monkeypatch.setattr(session, "send", session.send)  # so that the end of the test puts it back
    patch(httpsession, holder)


@pytest.fixture
def provider(bedrock: Bedrock) -> Iterator[Provider]:
    with bedrock.provider() as made:
        yield made


@functools.cache
def session() -> Any:
    """Return one for all tests: it reads botocore's models once."""
    return importlib.import_module("botocore.session").Session()


def client(url: str, access_key: str = reference(NAME), **config: Any) -> Any:
    """Return a client as an app makes one, in an environment of `brokerctl run`."""
    settings: Any = importlib.import_module("botocore.config").Config(
        **{"proxies": {}, "retries": {"total_max_attempts": 1}, "read_timeout": 5, **config}
    )
    return session().create_client(
        "bedrock-runtime",
        REGION,
        endpoint_url=url,
        aws_access_key_id=access_key,
        aws_secret_access_key=access_key,
        aws_session_token=access_key,
        config=settings,
    )


def text(answer: Any) -> str:
    return str(answer["output"]["message"]["content"][0]["text"])


def said(error: Any) -> str:
    """Return all that an exception shows, and what it carries."""
    return f"{error!r} {vars(error)} {error.__cause__!r} {error.__context__!r}"


def test_converse(provider: Provider, bedrock: Bedrock, broker: FakeBroker) -> None:
    bedrock_runtime = client(provider.url)
    assert [text(bedrock_runtime.converse(**ASKED)) for _ in range(2)] == [HELLO, HELLO]
    assert bedrock.verified == [ONE.access_key] * 2
    assert len(broker.named("lease.acquire")) == 1


def test_stream(provider: Provider, bedrock: Bedrock) -> None:
    events = client(provider.url).converse_stream(**ASKED)["stream"]
    deltas = [
        each["contentBlockDelta"]["delta"]["text"] for each in events if "contentBlockDelta" in each
    ]
    assert "".join(deltas) == HELLO
    assert bedrock.verified == [ONE.access_key]


def test_body_that_is_a_file(provider: Provider, bedrock: Bedrock) -> None:
    body = io.BytesIO(json.dumps({"max_tokens": 9}).encode())
    answer = client(provider.url).invoke_model(modelId=MODEL, body=body)
    assert json.loads(answer["body"].read())["content"][0]["text"] == HELLO
    assert bedrock.verified == [ONE.access_key]


def test_body_that_is_a_file_is_sent_once_more_from_its_start(
    provider: Provider, bedrock: Bedrock, broker: FakeBroker
) -> None:
    made = client(provider.url)
    made.converse(**ASKED)
    bedrock.over.add(ONE.access_key)
    broker.secrets[NAME] = TWO.entry(version="2")
    made.invoke_model(modelId=MODEL, body=io.BytesIO(b'{"max_tokens": 9}'))
    assert [each.body for each in provider.asked[1:]] == [b'{"max_tokens": 9}'] * 2
    assert bedrock.verified[-1] == TWO.access_key


def test_nothing_of_the_app_holds_them(
    provider: Provider, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    made, seen = client(provider.url), []
    made.meta.events.register("*", lambda **event: seen.append(repr(event)))
    made.converse(**ASKED)
    shown = f"{caplog.text} {seen} {made._request_signer._credentials.__dict__}"
    assert reference(NAME) in shown
    assert not [each for each in ONE if each in shown]


@pytest.mark.parametrize("status", [400, 403])
def test_credentials_that_are_over_are_reported_and_had_anew_once(
    provider: Provider, bedrock: Bedrock, broker: FakeBroker, status: int
) -> None:
    made, bedrock.status = client(provider.url), status
    made.converse(**ASKED)
    bedrock.over.add(ONE.access_key)
    broker.secrets[NAME] = TWO.entry(version="2")
    assert text(made.converse(**ASKED)) == HELLO
    assert bedrock.verified == [ONE.access_key, ONE.access_key, TWO.access_key]
    assert [each["status"] for each in broker.named("lease.report")] == [403]


def test_new_ones_that_are_over_as_well_end_it(
    provider: Provider, bedrock: Bedrock, broker: FakeBroker
) -> None:
    bedrock.over |= {ONE.access_key, TWO.access_key}
    made = client(provider.url)
    made.meta.events.register(
        "before-send", lambda **_: broker.secrets.update({NAME: TWO.entry(version="2")})
    )
    with pytest.raises(exceptions.ClientError, match="is expired") as refused:
        made.converse(**ASKED)
    assert TWO.token not in said(refused.value)
    assert len(bedrock.verified) <= 2


def test_the_same_ones_are_not_sent_again(
    provider: Provider, bedrock: Bedrock, broker: FakeBroker
) -> None:
    bedrock.over.add(ONE.access_key)
    with pytest.raises(exceptions.ClientError, match="is expired"):
        client(provider.url).converse(**ASKED)
    assert len(broker.named("lease.report")) == 1
    assert bedrock.verified == [ONE.access_key]


def test_what_they_may_not_do_ends_no_lease(
    provider: Provider, bedrock: Bedrock, broker: FakeBroker
) -> None:
    bedrock.denies = True
    with pytest.raises(exceptions.ClientError, match="AccessDeniedException"):
        client(provider.url).converse(**ASKED)
    assert broker.named("lease.report") == []
    assert len(bedrock.verified) == 1


def test_they_are_renewed_before_they_die(
    provider: Provider, broker: FakeBroker, bedrock: Bedrock, clock: Clock
) -> None:
    made = client(provider.url)
    made.converse(**ASKED)
    clock.now += 250  # of 300
    broker.end_leases()
    broker.secrets[NAME] = TWO.entry(version="2")
    made.converse(**ASKED)
    assert bedrock.verified == [ONE.access_key, TWO.access_key]


def test_revoked_ones_are_dropped(provider: Provider, broker: FakeBroker, bedrock: Bedrock) -> None:
    made = client(provider.url)
    made.converse(**ASKED)
    broker.refuse["lease.acquire"] = NotGranted("revoked by hand")
    broker.push("lease.revoked", lease="lease-1", secret=NAME, reason="revoked")
    with pytest.raises(exceptions.CredentialRetrievalError, match="revoked by hand"):
        made.converse(**ASKED)
    assert len(bedrock.verified) == 1


def test_other_host_gets_nothing(provider: Provider) -> None:
    url = provider.url.replace("127.0.0.1", "localhost")
    with pytest.raises(exceptions.CredentialRetrievalError, match="may not be sent to localhost"):
        client(url).converse(**ASKED)
    assert provider.asked == []


@pytest.mark.parametrize("between", ["\\@", "\\\\@", "\\:x@", "@"])
def test_url_that_two_read_as_two_hosts_gets_nothing(provider: Provider, between: str) -> None:
    # urllib3 ends a host at the backslash, urllib.parse begins it after the "@".
    ours, other = (provider.url.replace("127.0.0.1", each) for each in ("127.0.0.1", "localhost"))
    made = client(f"{other}{between}{ours.removeprefix('http://')}")
    with pytest.raises(exceptions.CredentialRetrievalError, match="names no host plainly"):
        made.converse(**ASKED)
    assert provider.asked == []


def test_host_header_of_another_gets_nothing(provider: Provider) -> None:
    made = client(provider.url)
    add = lambda request, **_: request.headers.add_header("Host", "evil.example")  # noqa: E731
    made.meta.events.register("before-sign", add)
    with pytest.raises(exceptions.CredentialRetrievalError, match="may not be sent to evil"):
        made.converse(**ASKED)
    assert provider.asked == []


@pytest.mark.parametrize(
    "config", [{}, {"proxies_config": {"proxy_use_forwarding_for_https": True}}]
)
def test_proxy_that_could_read_it_gets_nothing(provider: Provider, config: dict[str, Any]) -> None:
    scheme = "https" if config else "http"
    url = f"{scheme}://127.0.0.1:{provider.port}"
    proxies = {"http": provider.url, "https": provider.url}
    with pytest.raises(exceptions.CredentialRetrievalError, match="through a proxy"):
        client(url, proxies=proxies, **config).converse(**ASKED)
    assert provider.asked == []


def test_secret_that_does_not_sign_is_refused(provider: Provider, broker: FakeBroker) -> None:
    broker.secrets[NAME] = Entry("sk-of-another-kind-0123456789")
    with pytest.raises(exceptions.CredentialRetrievalError, match="no credentials of AWS"):
        client(provider.url).converse(**ASKED)
    assert provider.asked == []


def test_secret_that_signs_goes_nowhere_else(provider: Provider) -> None:
    made = client(provider.url)
    for name, value in (
        ("X-Mine", reference(NAME)),
        ("Authorization", f"Bearer {reference(NAME)}"),
        ("Authorization", f"AWS {reference(NAME)}:c2ln"),
    ):

        def put(request: Any, name: str = name, value: str = value, **_: Any) -> None:
            request.headers[name] = value

        made.meta.events.register_last("before-send", put)
        with pytest.raises(exceptions.CredentialRetrievalError, match="signs requests to AWS"):
            made.converse(**ASKED)
        made.meta.events.unregister("before-send", put)
    assert provider.asked == []


def test_bearer_token_is_swapped_as_in_httpx(provider: Provider, broker: FakeBroker) -> None:
    broker.secrets["bedrock/token"] = Entry("bedrock-api-key-0123456789")
    made = client(provider.url)

    def put(request: Any, **_: Any) -> None:
        del request.headers["X-Amz-Security-Token"], request.headers["Authorization"]
        request.headers["Authorization"] = f"Bearer {reference('bedrock/token')}"

    made.meta.events.register_last("before-send", put)
    with pytest.raises(exceptions.ClientError, match="UnrecognizedClient"):
        made.converse(**ASKED)
    assert provider.asked[0].headers["authorization"] == "Bearer bedrock-api-key-0123456789"


def test_presigned_url_is_refused(provider: Provider) -> None:
    made = client(provider.url)
    url = made.generate_presigned_url("converse", ASKED)
    assert not [each for each in ONE if each in url]
    request: Any = importlib.import_module("botocore.awsrequest").AWSRequest("POST", url)
    with pytest.raises(exceptions.CredentialRetrievalError, match="cannot be signed"):
        httpsession.URLLib3Session().send(request.prepare())
    assert provider.asked == []


def test_key_in_a_url_is_refused(provider: Provider, broker: FakeBroker) -> None:
    broker.secrets["bedrock/token"] = Entry("bedrock-api-key-0123456789")
    url = f"{provider.url}/?key={reference('bedrock/token')}"
    request: Any = importlib.import_module("botocore.awsrequest").AWSRequest("GET", url)
    with pytest.raises(exceptions.CredentialRetrievalError, match="stands in a URL"):
        httpsession.URLLib3Session().send(request.prepare())
    assert provider.asked == []


def test_exceptions_carry_nothing(provider: Provider) -> None:
    def hang_up(_: Asked) -> Answer:
        raise Misbehave(b"HTTP/1.1 2")

    provider.reply = hang_up
    with pytest.raises(exceptions.HTTPClientError) as failed:
        client(provider.url).converse(**ASKED)
    sent = provider.asked[0].headers
    assert sent["x-amz-security-token"] == ONE.token
    error: Any = failed.value
    while error is not None:
        assert not [each for each in (*ONE, sent["authorization"]) if each in said(error)]
        frame = error.__traceback__ and error.__traceback__.tb_next  # the first one is this test
        while frame is not None:
            shown = f"{frame.tb_frame.f_locals}"
            assert not [each for each in ONE if each in shown]
            frame = frame.tb_next
        error = error.__context__


def test_what_aws_repeats_is_washed(provider: Provider, bedrock: Bedrock) -> None:
    wrong = ONE._replace(secret_key="another")
    bedrock.known[ONE.access_key] = wrong
    with pytest.raises(exceptions.ClientError, match="The signature differs") as refused:
        client(provider.url).converse(**ASKED)
    assert reference(NAME) in said(refused.value)
    assert not [each for each in ONE if each in said(refused.value)]


def test_requests_without_a_reference_are_left_alone(
    provider: Provider, broker: FakeBroker
) -> None:
    with pytest.raises(exceptions.ClientError, match="UnrecognizedClient"):
        client(provider.url, "AKIAOTHEROTHEROTHER1").converse(**ASKED)
    assert broker.calls == []


def test_header_that_is_not_ascii_is_signed_as_it_is_sent(
    provider: Provider, bedrock: Bedrock
) -> None:
    made = client(provider.url)

    def put(request: Any, **_: Any) -> None:
        request.headers["X-Mine"] = "naïve €"

    made.meta.events.register("before-sign", put)
    assert text(made.converse(**ASKED)) == HELLO
    assert bedrock.verified == [ONE.access_key]
    assert provider.asked[0].headers["x-mine"].encode("latin-1").decode() == "naïve €"


def test_patching_twice_is_no_different(holder: Holder) -> None:
    once = httpsession.URLLib3Session.send
    patch(httpsession, holder)
    assert httpsession.URLLib3Session.send is once


def test_botocore_without_the_method_is_said(
    holder: Holder, capsys: pytest.CaptureFixture[str]
) -> None:
    patch(object(), holder)
    assert capsys.readouterr().err == (
        "brokershim: botocore has no URLLib3Session.send: nothing is signed\n"
    )
