"""Does the stand-in for a provider check keys as a provider does, and repeat those it refuses?"""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from demo.provider import REFUSED_MODEL, Provider

OPENAI, ANTHROPIC = "sk-proj-good-0123456789", "sk-ant-good-0123456789"


@pytest.fixture
def provider() -> Iterator[Provider]:
    with Provider({"openai": OPENAI, "anthropic": ANTHROPIC}) as provider:
        yield provider


def ask(provider: Provider, key: str, model: str = "m", **question: object) -> httpx.Response:
    headers = {"authorization": f"Bearer {key}"}
    url = f"{provider.url}/v1/chat/completions"
    return httpx.post(url, headers=headers, json={"model": model, **question})


def test_a_good_key_is_answered(provider: Provider) -> None:
    answer = ask(provider, OPENAI)
    assert answer.status_code == 200
    assert answer.json()["choices"][0]["message"]["content"].endswith("key no. 1 is good.")


def test_a_bad_key_is_refused_and_repeated(provider: Provider) -> None:
    answer = ask(provider, "sk-bad-0123456789")
    assert answer.status_code == 401
    assert "sk-bad-0123456789" in answer.text


def test_a_key_of_the_other_provider_is_refused(provider: Provider) -> None:
    assert ask(provider, ANTHROPIC).status_code == 401
    headers = {"x-api-key": OPENAI}
    answer = httpx.post(f"{provider.url}/v1/messages", headers=headers, json={"model": "m"})
    assert answer.status_code == 401


def test_after_rotation_only_the_new_key_is_good(provider: Provider) -> None:
    provider.rotate("openai", "sk-proj-new-0123456789")
    assert ask(provider, OPENAI).status_code == 401
    assert "key no. 2" in ask(provider, "sk-proj-new-0123456789").text


def test_several_keys_can_be_good_at_a_time(provider: Provider) -> None:
    provider.accept("openai", "sk-proj-more-0123456789")
    assert "key no. 1" in ask(provider, OPENAI).text
    assert "key no. 2" in ask(provider, "sk-proj-more-0123456789").text


def test_one_model_is_out_of_bounds_for_every_key(provider: Provider) -> None:
    assert ask(provider, OPENAI, REFUSED_MODEL).status_code == 401


def test_a_stream_ends_as_it_should(provider: Provider) -> None:
    lines = ask(provider, OPENAI, stream=True).text.strip().split("\n\n")
    assert lines[-1] == "data: [DONE]"
    assert len(lines) > 3


def test_it_says_what_it_was_asked_without_showing_the_key(provider: Provider) -> None:
    ask(provider, OPENAI)
    ask(provider, "sk-bad-0123456789")
    assert [each.accepted for each in provider.asked] == [True, False]
    assert provider.asked[1].key == "sk-bad-0123456789"
    assert "0123456789" not in repr(provider.asked)
