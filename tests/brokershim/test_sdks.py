"""LiteLLM, openai and anthropic, unchanged, with a key that they never see.

One app makes every check (tests/brokershim/sdk_app.py) and is then searched for the key; here each
check is looked at. The slow ones are the same, in environments with other LiteLLM versions.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.brokershim.sdk_app import CHECKS
from tests.support.fakebroker import Entry, FakeBroker
from tests.support.misbehaviour import misbehaving
from tests.support.provider import TOKEN_BETA, Answer, Asked, Provider, bearer_only, key_of
from tests.support.require import require_program
from tests.support.session import ROOT, searched, unexpected

NEEDLE = "sk-test-0123456789abcdef"
"""What all keys begin with."""
OPEN_KEY = "another-key-0123456789"
HELLO = "hello there"
REFERENCE = "brokerref:openai/dev"
REFUSED = "brokerctl: openai/dev may not be sent to localhost:"
EXPECTED: dict[str, tuple[str, int]] = {
    "litellm_completion": (HELLO, 1),
    "litellm_acompletion": (HELLO, 1),
    "litellm_stream": (HELLO, 1),
    "litellm_astream": (HELLO, 1),
    "litellm_anthropic": (HELLO, 1),
    "litellm_aanthropic_stream": (HELLO, 1),
    "litellm_messages": (HELLO, 1),
    "litellm_embedding": ("0.5, 0.25", 2),
    "litellm_transcription": ("hello", 1),
    "litellm_gemini": (f"wrong key {REFERENCE}", 1),
    "litellm_router": (HELLO, 2),
    "litellm_repeated_key": (f"wrong key {REFERENCE}", 3),
    "litellm_refusal": (REFUSED, 2),
    "litellm_rotated": (HELLO, 4),
    "litellm_dropped": ("InternalServerError: litellm", 4),
    "openai_chat": (HELLO, 4),
    "openai_more": (HELLO, 1),
    "openai_azure": (f"wrong key {REFERENCE}", 1),
    "openai_repeated_key": (f"wrong key {REFERENCE}", 2),
    "openai_refusal": (f"PermissionDeniedError: .*{REFUSED}", 1),
    "openai_rotated": (HELLO, 1),
    "anthropic_messages": (HELLO, 3),
    "anthropic_repeated_key": (f"wrong key {REFERENCE}", 1),
    "anthropic_refusal": (f"PermissionDeniedError: .*{REFUSED}", 1),
    "litellm_token": (HELLO, 5),
    "anthropic_token": (HELLO, 4),
    "anthropic_token_misplaced": (
        "PermissionDeniedError: .*anthropic/token goes into the Authorization header",
        1,
    ),
}
"""For each check a pattern that it must give, and how often."""


class Rotating:
    """A provider that refuses the key at the first request of each path that says so.

    The daemon has another key by then, as after a rotation.
    """

    def __init__(self, broker: FakeBroker) -> None:
        self.broker = broker
        self.seen: set[str] = set()

    def __call__(self, asked: Asked) -> Answer:
        first = asked.target.strip("/").partition("/")[0]
        if first == "token":
            return bearer_only({f"{NEEDLE}-token", OPEN_KEY})(asked)
        if not first.startswith("rotate") or first in self.seen:
            return misbehaving(asked)
        self.seen.add(first)
        version = str(len(self.seen))
        self.broker.secrets["openai/dev"] = Entry(f"{NEEDLE}-{version}", version=version)
        body = {"error": {"message": f"wrong key {key_of(asked)}"}}
        return Answer(401, json.dumps(body).encode())


def test_every_check_is_expected_to_give_something() -> None:
    assert EXPECTED.keys() == CHECKS.keys()


@pytest.mark.timeout(240)
@pytest.mark.parametrize(
    "environment",
    [
        "",
        pytest.param(".venv-oldest", marks=pytest.mark.slow),
        pytest.param(".venv-newest", marks=pytest.mark.slow),
    ],
    ids=["tested", "oldest", "newest"],
)
def test_sdks_work_and_never_see_a_key(environment: str, tmp_path: Path) -> None:
    """One test and not thirty: the app takes a while, and would be run in each worker."""
    executable = sys.executable
    if environment:
        python = ROOT / environment / "bin" / "python"
        executable = require_program(str(python), "make setup-full")
    report, asked = ran(executable, tmp_path)
    assert unexpected(report["results"], EXPECTED, NEEDLE) == {}
    assert_every_request_had_a_key(asked)
    assert_refused_key_was_sent_once_and_then_the_new_one(asked)
    assert_key_is_nowhere(report)


def ran(executable: str, folder: Path) -> tuple[dict[str, Any], list[Asked]]:
    """Return what the app reported, and what the provider saw."""
    with FakeBroker(folder) as broker:
        broker.secrets["openai/dev"] = Entry(f"{NEEDLE}-0", version="0")
        broker.secrets["left/open"] = Entry(OPEN_KEY)
        beta = {"anthropic-beta": TOKEN_BETA}
        for name, token in (("anthropic/token", f"{NEEDLE}-token"), ("left/open-token", OPEN_KEY)):
            broker.secrets[name] = Entry(token, bearer=True, headers=beta)
        with Provider(Rotating(broker)) as provider:
            app = ("-m", "tests.brokershim.sdk_app", provider.url)
            quiet = {"LITELLM_LOCAL_MODEL_COST_MAP": "True"}
            report = searched(broker, NEEDLE, *app, executable=executable, **quiet)
            return report, list(provider.asked)


def assert_every_request_had_a_key(seen: list[Asked]) -> None:
    assert len(seen) > len(EXPECTED)
    for asked in seen:
        key = key_of(asked)
        assert key.startswith(NEEDLE) or key == OPEN_KEY
        assert "brokerref:" not in f"{asked.headers} {asked.target}"


def assert_refused_key_was_sent_once_and_then_the_new_one(seen: list[Asked]) -> None:
    for number, way in enumerate("abcde"):
        keys = [key_of(asked) for asked in seen if f"/rotate-{way}/" in asked.target]
        assert keys == [f"{NEEDLE}-{number}", f"{NEEDLE}-{number + 1}"]


def assert_key_is_nowhere(report: dict[str, Any]) -> None:
    assert report["control"] == 1, "a key that is there is found"
    assert report["callbacks"] > 20, "LiteLLM's callbacks were kept"
    assert report["found"] == []
    assert NEEDLE not in report["stderr"]
