"""A secret that signs stands where SDKs of AWS look for it, and nothing else does."""

from __future__ import annotations

import pytest

from brokerd.signing import completed
from brokershim.errors import UsageError

BEDROCK, OPENAI = "bedrock/dev", "openai/dev"
ACCESS, SECRET, TOKEN = "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"


@pytest.mark.parametrize("named", [{ACCESS}, {SECRET}, {ACCESS, TOKEN}, {ACCESS, SECRET, TOKEN}])
def test_what_is_wanted_together_is_there(named: set[str]) -> None:
    env = {**dict.fromkeys(named, BEDROCK), "OPENAI_API_KEY": OPENAI}
    every = dict.fromkeys((ACCESS, SECRET, TOKEN), BEDROCK)
    assert completed(env, {BEDROCK}) == {**every, "OPENAI_API_KEY": OPENAI}


def test_without_one_that_signs_nothing_is_added() -> None:
    env = {"OPENAI_API_KEY": OPENAI, "AWS_BEARER_TOKEN_BEDROCK": "bedrock/token"}
    assert completed(env, set()) == env


@pytest.mark.parametrize(
    ("env", "said"),
    [
        ({"OPENAI_API_KEY": BEDROCK}, "bedrock/dev signs requests to AWS"),
        ({ACCESS: BEDROCK, "MINE": BEDROCK}, "bedrock/dev signs requests to AWS"),
        ({ACCESS: OPENAI}, "openai/dev is no credentials of AWS"),
        ({ACCESS: BEDROCK, TOKEN: OPENAI}, "openai/dev is no credentials of AWS"),
        ({ACCESS: BEDROCK, SECRET: "bedrock/other"}, "bedrock/dev and bedrock/other cannot sign"),
    ],
)
def test_what_could_not_sign_is_refused(env: dict[str, str], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        completed(env, {BEDROCK, "bedrock/other"})
