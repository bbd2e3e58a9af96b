"""What an app signs with a reference and sends with httpx is signed anew as it goes out."""

from __future__ import annotations

import asyncio
import importlib
import json
from collections.abc import Iterator
from typing import Any

import httpx
import httpx2
import pytest

from brokershim.reference import reference
from tests.support.bedrock import HELLO, MODEL, NAME, ONE, REGION, TWO, Bedrock
from tests.support.fakebroker import Entry, FakeBroker
from tests.support.provider import Provider

BODY = json.dumps({"messages": [{"role": "user", "content": [{"text": "hello"}]}]}).encode()
BOTH = pytest.mark.parametrize(
    ("library", "mode"), [(httpx, "sync"), (httpx, "async"), (httpx2, "sync"), (httpx2, "async")]
)

_auth: Any = importlib.import_module("botocore.auth")  # it carries no types
_request: Any = importlib.import_module("botocore.awsrequest")
_credentials: Any = importlib.import_module("botocore.credentials")


@pytest.fixture
def aws(bedrock: Bedrock) -> Iterator[Provider]:
    with bedrock.provider() as made:
        yield made


def signed(url: str, name: str = NAME, **headers: str) -> dict[str, str]:
    """Return a request's headers, as LiteLLM has botocore sign them."""
    keys = _credentials.Credentials(*[reference(name)] * 3)
    request = _request.AWSRequest(
        "POST", url, {"Content-Type": "application/json", **headers}, BODY
    )
    _auth.SigV4Auth(keys, "bedrock", REGION).add_auth(request)
    return dict(request.prepare().headers)


def sent(library: Any, mode: str, url: str, headers: dict[str, str], body: Any = BODY) -> Any:
    """Send it and return the answer, which was read."""

    async def asynchronously() -> Any:
        async with library.AsyncClient(trust_env=False) as client:
            return await client.post(url, headers=headers, content=body)

    if mode == "async":
        return asyncio.run(asynchronously())
    with library.Client(trust_env=False) as client:
        return client.post(url, headers=headers, content=body)


def asked(aws: Provider, host: str = "127.0.0.1") -> str:
    return f"http://{host}:{aws.port}/model/{MODEL.replace(':', '%3A')}/converse"


@BOTH
def test_it_is_signed_as_it_goes_out(
    library: Any, mode: str, aws: Provider, bedrock: Bedrock
) -> None:
    url = asked(aws)
    answer = sent(library, mode, url, signed(url))
    assert answer.json()["output"]["message"]["content"] == [{"text": HELLO}]
    assert bedrock.verified == [ONE.access_key]
    shown = f"{answer.request.headers.raw} {answer.headers.raw}"
    assert reference(NAME) in shown
    assert not [each for each in ONE if each in shown]


@BOTH
def test_its_query_is_signed_too(library: Any, mode: str, aws: Provider, bedrock: Bedrock) -> None:
    url = f"{asked(aws)}?b=2&a=%C3%A9&a"
    assert sent(library, mode, url, signed(url)).status_code == 200
    assert bedrock.verified == [ONE.access_key]


@BOTH
def test_credentials_that_are_over_are_had_anew_once(
    library: Any, mode: str, aws: Provider, bedrock: Bedrock, broker: FakeBroker
) -> None:
    url = asked(aws)
    sent(library, mode, url, signed(url))
    bedrock.over.add(ONE.access_key)
    broker.secrets[NAME] = TWO.entry(version="2")
    assert sent(library, mode, url, signed(url)).status_code == 200
    assert bedrock.verified == [ONE.access_key, ONE.access_key, TWO.access_key]
    assert [each["status"] for each in broker.named("lease.report")] == [403]


@BOTH
def test_what_they_may_not_do_ends_no_lease(
    library: Any, mode: str, aws: Provider, bedrock: Bedrock, broker: FakeBroker
) -> None:
    bedrock.denies = True
    url = asked(aws)
    assert sent(library, mode, url, signed(url)).status_code == 403
    assert broker.named("lease.report") == []
    assert len(bedrock.verified) == 1


def refusal(answer: Any) -> str:
    assert answer.headers["x-brokerctl"] == "refused"
    return str(answer.json()["error"]["message"])


def test_other_host_gets_nothing(aws: Provider) -> None:
    url = asked(aws, "localhost")
    assert "may not be sent to localhost" in refusal(sent(httpx, "sync", url, signed(url)))
    assert aws.asked == []


def test_body_that_is_sent_once_cannot_be_signed(aws: Provider) -> None:
    url = asked(aws)
    answer = sent(httpx, "sync", url, signed(url), iter([BODY]))
    assert "only once" in refusal(answer)
    assert aws.asked == []


def test_body_of_which_the_app_says_what_is_signed(aws: Provider, bedrock: Bedrock) -> None:
    url = asked(aws)
    unsigned = signed(url, **{"X-Amz-Content-SHA256": "UNSIGNED-PAYLOAD"})
    assert sent(httpx, "sync", url, unsigned, iter([BODY])).status_code == 200
    assert bedrock.verified == [ONE.access_key]


def test_other_references_are_swapped_before_it_is_signed(
    aws: Provider, bedrock: Bedrock, broker: FakeBroker
) -> None:
    broker.secrets["a/b"] = Entry("another-key-0123456789")
    url = asked(aws)
    assert sent(httpx, "sync", url, signed(url, **{"X-Mine": reference("a/b")})).status_code == 200
    assert bedrock.verified == [ONE.access_key]
    assert aws.asked[0].headers["x-mine"] == "another-key-0123456789"


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Mine": reference(NAME)},
        {"Authorization": f"Bearer {reference(NAME)}"},
        {"Authorization": f"AWS {reference(NAME)}:c2ln"},
        {"X-Amz-Security-Token": reference(NAME)},
        {"X-Api-Key": reference(NAME)},
    ],
)
def test_what_signs_goes_into_no_header(aws: Provider, headers: dict[str, str]) -> None:
    said = refusal(sent(httpx, "sync", asked(aws), headers))
    assert "bedrock/dev signs requests to AWS" in said
    assert ONE.secret_key not in said
    assert aws.asked == []


def test_what_signs_goes_into_no_header_beside_a_signature(aws: Provider) -> None:
    url = asked(aws)
    answer = sent(httpx, "sync", url, signed(url, **{"X-Mine": reference(NAME)}))
    assert "bedrock/dev signs requests to AWS" in refusal(answer)
    assert aws.asked == []


def test_what_signs_goes_into_no_query(aws: Provider) -> None:
    url = f"{asked(aws)}?key={reference(NAME)}"
    assert "signs requests to AWS" in refusal(sent(httpx, "sync", url, {}))
    assert aws.asked == []


def test_what_does_not_sign_signs_nothing(aws: Provider, broker: FakeBroker) -> None:
    broker.secrets["a/b"] = Entry("another-key-0123456789")
    url = asked(aws)
    answer = sent(httpx, "sync", url, signed(url, "a/b"))
    assert "a/b is no credentials of AWS" in refusal(answer)
    assert aws.asked == []


def test_presigned_url_is_refused(aws: Provider) -> None:
    request = _request.AWSRequest("GET", asked(aws))
    keys = _credentials.Credentials(*[reference(NAME)] * 3)
    _auth.SigV4QueryAuth(keys, "bedrock", REGION).add_auth(request)
    answer = sent(httpx, "sync", request.url, {})
    assert "a URL cannot be signed with a reference" in refusal(answer)
    assert aws.asked == []
