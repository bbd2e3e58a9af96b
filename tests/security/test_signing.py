"""Credentials that sign, against the app that they sign for."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.bedrock import HELLO, NAME
from tests.support.clouded import Clouded, clouded

_REAL = {
    "AWS_ACCESS_KEY_ID": "AKIAREALREALREALREAL",
    "AWS_SECRET_ACCESS_KEY": "a-real-key-of-the-user",
    "AWS_SESSION_TOKEN": "a-real-token",
    "AWS_BEARER_TOKEN_BEDROCK": "a-real-api-key",
    "AWS_CREDENTIAL_EXPIRATION": "2020-01-01T00:00:00Z",  # of those; botocore goes by it
}
_TELLING = """
import logging, os, sys
logging.basicConfig(level=0, stream=sys.stdout)
from asking import ask
print(ask(), os.getpid())
print({name: value for name, value in os.environ.items() if name.startswith("AWS_")})
try:
    ask(os.environ["BEDROCK_URL"].replace("127.0.0.1", "localhost"))
except Exception as error:
    print("refused:", error)
"""
_TOGETHER = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clouded]:
    with clouded(tmp_path_factory.mktemp("home")) as made:
        made.trust(f'AWS_ACCESS_KEY_ID = "{NAME}"\n')
        yield made


def test_claim_43_what_signs_is_nowhere_and_names_the_process_it_is_for(cloud: Clouded) -> None:
    cloud.script("app.py", _TELLING)
    done = cloud.run("brokerctl run python app.py", env=_REAL)
    assert done.status == 0, done.stderr
    hello, environ = (
        next(line for line in done.stdout.splitlines() if line.startswith(start))
        for start in (HELLO, "{'AWS_")
    )
    assert environ == str(dict.fromkeys(_TOGETHER, f"brokerref:{NAME}"))
    assert f"{NAME} may not be sent to localhost" in done.stdout.partition("refused:")[2]
    # The search at the end looks for all of it: in every log line, too.
    assert cloud.server.verified == [cloud.server.made[-1].access_key]
    asked = cloud.server.roles[-1]
    (session,) = {each["session"] for each in cloud.events(event="lease.acquired", secret=NAME)}
    assert asked["RoleSessionName"] == f"brokerctl-{session}-{hello.split()[-1]}"
    tags = {asked[f"Tags.member.{n}.Key"]: asked[f"Tags.member.{n}.Value"] for n in range(1, 5)}
    assert tags["brokerctl:session"] == session
    assert tags["brokerctl:project"].endswith("/my-app")
    assert tags["brokerctl:program"].endswith("/python")


def test_claim_43_what_signs_stands_nowhere_else_and_nothing_else_signs(cloud: Clouded) -> None:
    done = cloud.run(f"brokerctl run --env OPENAI_API_KEY={NAME} true")
    assert (done.status, done.stdout) == (2, "")
    assert f"{NAME} signs requests to AWS" in done.stderr
    done = cloud.run("brokerctl run --env AWS_SECRET_ACCESS_KEY=openai/dev true")
    assert (done.status, done.stdout) == (2, "")
    assert "openai/dev is no credentials of AWS" in done.stderr
