"""Can an answer be such that hvac, or who asks with it, stumbles over it?"""

from __future__ import annotations

import http.client
import importlib
import json
from typing import Any

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st
from requests.adapters import BaseAdapter

from brokerd.backends.vault.answers import judged
from brokerd.backends.vault.faults import translated
from brokerd.lost import Lost
from brokerd.roundtrip import Answer
from brokershim.errors import BrokerError

hvac: Any = importlib.import_module("hvac")  # it carries no types
TOKEN = "hvs.a-token-that-nobody-may-see"
PASSWORD = "pa55word of a parameter"

documents = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["errors", "data", "auth", "metadata", "x"]) | st.text(max_size=3),
            inner,
            max_size=3,
        )
    ),
    max_leaves=8,
)
bodies = st.binary(max_size=40) | documents.map(lambda found: json.dumps(found).encode())
statuses = st.sampled_from([200, 204, 400, 403, 404, 405, 429, 472, 500, 503]) | st.integers(
    100, 999
)


class _Says(BaseAdapter):
    """Answers with what `judged` makes of an answer."""

    def __init__(self, answer: Answer) -> None:
        super().__init__()
        self._answer = answer

    def send(self, request: requests.PreparedRequest, *_: Any, **__: Any) -> requests.Response:
        found = judged("vault.example", request, self._answer)
        if isinstance(found, Lost):
            raise found.error
        return found

    def close(self) -> None:
        """Nothing is open."""


def _asked(status: int, body: bytes, method: str = "get", path: str = "/v1/a/b") -> Any:
    headers = http.client.HTTPMessage()
    with requests.Session() as session:
        session.mount("http://vault", _Says(Answer(status, headers, body)))
        client = hvac.Client(url="http://vault", token=TOKEN, verify=True, session=session)
        sent = {"json": {"password": PASSWORD}} if method == "post" else {}
        return client.adapter.request(method, path, **sent)


@given(statuses, bodies, st.sampled_from(["get", "post", "head"]))
def test_whatever_it_says_is_an_answer_or_an_error_of_ours(
    status: int, body: bytes, method: str
) -> None:
    try:
        with translated("asking"):
            found = _asked(status, body, method)
    except BrokerError:
        return
    assert status in {200, 204}
    assert isinstance(found, dict) or status == 204


@given(st.sampled_from([400, 403, 404, 500, 503]), st.text(max_size=20), st.text(max_size=20))
def test_what_was_sent_does_not_come_back(status: int, before: str, after: str) -> None:
    said = json.dumps({"errors": [f"{before}{TOKEN}{after} {PASSWORD}"]}).encode()
    with pytest.raises(BrokerError) as caught, translated("asking"):
        _asked(status, said, "post")
    assert TOKEN not in repr(caught.value)
    assert PASSWORD not in repr(caught.value)


def test_not_even_in_what_hvac_raises() -> None:
    said = json.dumps({"errors": [f"got {TOKEN}"], "data": {"a": TOKEN}}).encode()
    with pytest.raises(hvac.exceptions.Forbidden) as caught:
        _asked(403, said)
    error = caught.value
    assert TOKEN not in f"{error} {error.errors} {error.text} {error.json}"


@pytest.mark.parametrize(
    "path", ["/v1/a?code=a-code-of-a-login&role=our-team", "/v1/a?state=of-a-login"]
)
def test_nor_does_what_stands_in_the_address(path: str) -> None:
    said = path.partition("?")[2].replace("=", " ").replace("&", " ")
    with pytest.raises(BrokerError) as caught, translated("asking"):
        _asked(400, json.dumps({"errors": [said]}).encode(), path=path)
    assert "of-a-login" not in caught.value.message
    assert "a-code" not in caught.value.message
    assert ("our-team" in caught.value.message) is ("our-team" in path)


@pytest.mark.parametrize(
    "error", ["1 error occurred:\n\t* permission denied\n\n", "permission denied."]
)
def test_what_is_only_punctuation_is_left_out(error: str) -> None:
    said = json.dumps({"errors": [error]}).encode()
    with pytest.raises(BrokerError) as caught, translated("asking"):
        _asked(403, said)
    assert caught.value.message == "asking: permission denied"


def test_a_version_that_is_gone_comes_with_what_is_known_of_it() -> None:
    metadata = {"deletion_time": "2026-01-01T00:00:00Z"}
    gone = {"request_id": "1", "data": {"data": None, "metadata": metadata}}
    with pytest.raises(hvac.exceptions.InvalidPath) as caught:
        _asked(404, json.dumps(gone).encode())
    assert caught.value.json == gone


def test_an_answer_holds_nothing_of_the_request() -> None:
    request = requests.Request("GET", "http://vault/v1/a", headers={"x-vault-token": TOKEN})
    answer = Answer(200, http.client.HTTPMessage(), b'{"data": {}}')
    found = judged("vault.example", request.prepare(), answer)
    assert isinstance(found, requests.Response)
    assert TOKEN not in str(vars(found))
