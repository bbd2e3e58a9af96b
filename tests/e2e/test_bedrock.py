"""Apps and tools that ask Bedrock, with credentials that STS makes for them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.bedrock import HELLO, MODEL, NAME, REGION
from tests.support.clouded import Clouded, clouded

pytestmark = pytest.mark.slow

_TOOL = """
from asking import ask
print(ask(profile_name="bedrock"))
"""
_LITELLM = f"""
import asyncio, os, litellm
how = dict(
    model="bedrock/{MODEL}", messages=[{{"role": "user", "content": "hello"}}],
    aws_bedrock_runtime_endpoint=os.environ["BEDROCK_URL"], aws_region_name="{REGION}",
)
print(litellm.completion(**how).choices[0].message.content)
print(asyncio.run(litellm.acompletion(**how)).choices[0].message.content)
stream = litellm.completion(**how, stream=True)
print("".join(each.choices[0].delta.content or "" for each in stream))
"""
_TWICE = """
print(ask(), flush=True)
input()
try:
    print(ask(), flush=True)
except Exception as error:
    print(type(error).__name__, error, flush=True)
"""


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Clouded]:
    root = tmp_path / "home"
    root.mkdir()
    with clouded(root) as made:
        made.trust(f'AWS_ACCESS_KEY_ID = "{NAME}"\n')
        config = f"[profile bedrock]\ncredential_process = brokerctl credentials {NAME}\n"
        made.write(".aws/config", config)
        yield made


def test_litellm_asks_bedrock_unchanged(cloud: Clouded) -> None:
    cloud.script("app.py", _LITELLM)
    done = cloud.run("brokerctl run python app.py")
    assert (done.status, done.stdout.split("\n")[:3]) == (0, [HELLO] * 3), done.stderr
    assert cloud.server.verified == [cloud.server.made[-1].access_key] * 3
    assert len(cloud.server.made) == 2, "those of the login, and those of the lease"


def test_revoked_credentials_sign_nothing_more(cloud: Clouded) -> None:
    cloud.script("app.py", "from asking import ask\n" + _TWICE)
    with cloud.starts("from asking import ask\n" + _TWICE) as app:
        assert app.says() == HELLO
        assert cloud.run("brokerctl revoke --all").status == 0
        app.go_on()
        assert "CredentialRetrievalError" in (said := app.says())
        assert "revoked" in said
    assert len(cloud.server.verified) == 1


def test_a_tool_has_them_by_a_line_in_its_own_configuration(cloud: Clouded) -> None:
    cloud.grant(f'folder = "{cloud.project}"\nsecrets = ["{NAME}"]\n')
    cloud.script("tool.py", _TOOL)
    done = cloud.run("python tool.py")
    assert (done.status, done.stdout) == (0, HELLO + "\n"), done.stderr
    (opened,) = cloud.events(event="session.opened")
    assert opened["script"].endswith("/brokerctl")
    assert opened["secrets"] == [NAME]


def test_a_tool_inside_a_session_has_them_in_one_of_its_own(cloud: Clouded) -> None:
    cloud.grant(f'folder = "{cloud.project}"\nsecrets = ["{NAME}"]\n')
    assert cloud.run("brokerctl allow").status == 0  # the file that says so was replaced
    cloud.script("tool.py", _TOOL)
    done = cloud.run("brokerctl run python tool.py")
    assert (done.status, done.stdout) == (0, HELLO + "\n"), done.stderr
    outer, inner = cloud.events(event="session.opened")
    (leased,) = cloud.events(event="lease.acquired")
    assert leased["session"] == inner["session"] != outer["session"]


def test_a_tool_that_no_rule_lets_has_none(cloud: Clouded) -> None:
    cloud.script("tool.py", _TOOL)
    done = cloud.run("python tool.py")
    assert (done.status, done.stdout) == (1, "")
    assert f"a person has to approve {NAME}" in done.stderr
    assert cloud.server.verified == []


def test_a_person_at_the_terminal_may_let_a_tool_have_them(cloud: Clouded) -> None:
    cloud.grant(f'folder = "{cloud.project}"\nsecrets = ["{NAME}"]\napproval = "session"\n')
    cloud.script("tool.py", _TOOL)
    asking = cloud.terminal("python tool.py")
    asking.expect("[y/N]")
    assert f"asks for: {NAME}" in asking.seen
    asking.type("y\n")
    asking.expect(HELLO)
    assert asking.end() == 0
