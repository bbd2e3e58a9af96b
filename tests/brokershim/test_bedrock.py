"""Apps that ask Bedrock, unchanged, with credentials that they never see.

A fake Bedrock takes no request whose signature is not right to the last byte of its body.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from brokershim.reference import reference
from tests.brokershim.bedrock_app import CHECKS
from tests.support.bedrock import HELLO, NAME, Bedrock, Triple
from tests.support.fakebroker import FakeBroker
from tests.support.provider import Answer, Asked, Misbehave, Provider
from tests.support.session import searched, unexpected

NEEDLE = "canary0123"
"""What all parts of the credentials begin with."""
KEYS = Triple(f"{NEEDLE}-access", f"{NEEDLE}-secret/+x", f"{NEEDLE}-token//+x==")
REFUSED = "bedrock/dev may not be sent to localhost:"
WASHED = f"the token is {reference(NAME)}"
EXPECTED: dict[str, tuple[str, int]] = {
    "boto_converse": (HELLO, 1),
    "boto_stream": (HELLO, 1),
    "boto_refusal": (f"CredentialRetrievalError: .*{REFUSED}", 1),
    "boto_broken": (f"ConnectionClosedError: |{WASHED}", 2),
    "litellm_completion": (HELLO, 3),
    "litellm_acompletion": (HELLO, 2),
    "litellm_streams": (HELLO, 2),
    "litellm_router": (HELLO, 1),
    "litellm_refusal": (REFUSED, 2),
    "litellm_repeated": (WASHED, 2),
    "anthropic_bedrock": (HELLO, 1),
}
"""For each check a pattern that it must give, and how often."""


class Misbehaving(Bedrock):
    """One that repeats what it was sent, or hangs up, where the path says so."""

    def __call__(self, asked: Asked) -> Answer:
        way = asked.target.strip("/").partition("/")[0]
        if way == "cut":
            raise Misbehave(b"HTTP/1.1 2")
        if way == "repeat":
            body = f'{{"message": "the token is {asked.headers["x-amz-security-token"]}"}}'
            return Answer(400, body.encode())
        return super().__call__(asked)


def test_every_check_is_expected_to_give_something() -> None:
    assert EXPECTED.keys() == CHECKS["botocore"].keys() | CHECKS["litellm"].keys()


@pytest.mark.timeout(240)
@pytest.mark.parametrize("kind", ["botocore", pytest.param("litellm", marks=pytest.mark.slow)])
def test_they_work_and_never_see_the_credentials(kind: str, tmp_path: Path) -> None:
    bedrock = Misbehaving(KEYS)
    with FakeBroker(tmp_path) as broker, Provider(bedrock) as provider:
        broker.secrets[NAME] = KEYS.entry()
        report = ran(broker, provider.url, kind)
    assert unexpected(report["results"], EXPECTED, NEEDLE) == {}
    assert len(bedrock.verified) == len(
        [each for each in provider.asked if not re.match("/(cut|repeat)/", each.target)]
    )
    assert all("brokerref:" not in f"{asked.headers}" for asked in provider.asked)
    assert report["control"] == 1, "a key that is there is found"
    assert report["found"] == []
    assert NEEDLE not in report["stderr"]
    assert report["kept"] > 20


def ran(broker: FakeBroker, url: str, kind: str) -> dict[str, Any]:
    app = ("-m", "tests.brokershim.bedrock_app", url, kind)
    variables = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
    more = {**dict.fromkeys(variables, reference(NAME)), "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
    return searched(broker, NEEDLE, *app, **more)
