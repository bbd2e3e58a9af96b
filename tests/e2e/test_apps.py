"""Do unchanged apps work with a key that they never hold, in every way in which they can ask?"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from demo.provider import Provider
from tests.e2e.session import Session
from tests.support.require import require_program

ROOT = Path(__file__).parents[2]
TRUSTED = 'OPENAI_API_KEY = "openai/dev"\nANTHROPIC_API_KEY = "anthropic/dev"\n'
EVERY_WAY = """
import asyncio, json
import anthropic, litellm, openai

SAY = [{"role": "user", "content": "hello"}]
GPT, CLAUDE = "openai/gpt-5-mini", "anthropic/claude-sonnet-5"

def chunk_text(chunks):
    return "".join(each.choices[0].delta.content or "" for each in chunks)

def whole(answer):
    return answer.choices[0].message.content

async def collect(stream):
    return [each async for each in stream]

def litellm_sync(model):
    return whole(litellm.completion(model=model, messages=SAY))

def litellm_stream(model):
    return chunk_text(litellm.completion(model=model, messages=SAY, stream=True))

async def litellm_async(model):
    return whole(await litellm.acompletion(model=model, messages=SAY))

async def litellm_async_stream(model):
    stream = await litellm.acompletion(model=model, messages=SAY, stream=True)
    return chunk_text(await collect(stream))

def openai_sync():
    return whole(openai.OpenAI().chat.completions.create(model="m", messages=SAY))

def openai_stream():
    return chunk_text(openai.OpenAI().chat.completions.create(model="m", messages=SAY, stream=True))

async def openai_async():
    return whole(await openai.AsyncOpenAI().chat.completions.create(model="m", messages=SAY))

async def openai_async_stream():
    create = openai.AsyncOpenAI().chat.completions.create
    return chunk_text(await collect(await create(model="m", messages=SAY, stream=True)))

ASK = {"model": "m", "messages": SAY, "max_tokens": 9}

def anthropic_sync():
    return anthropic.Anthropic().messages.create(**ASK).content[0].text

def anthropic_stream():
    with anthropic.Anthropic().messages.stream(**ASK) as stream:
        return "".join(stream.text_stream)

async def anthropic_async():
    return (await anthropic.AsyncAnthropic().messages.create(**ASK)).content[0].text

async def anthropic_async_stream():
    async with anthropic.AsyncAnthropic().messages.stream(**ASK) as stream:
        return "".join([part async for part in stream.text_stream])

async def asynchronous():
    return {
        "litellm openai async": await litellm_async(GPT),
        "litellm anthropic async": await litellm_async(CLAUDE),
        "litellm openai async stream": await litellm_async_stream(GPT),
        "litellm anthropic async stream": await litellm_async_stream(CLAUDE),
        "openai async": await openai_async(),
        "openai async stream": await openai_async_stream(),
        "anthropic async": await anthropic_async(),
        "anthropic async stream": await anthropic_async_stream(),
    }

answers = {
    "litellm openai": litellm_sync(GPT),
    "litellm anthropic": litellm_sync(CLAUDE),
    "litellm openai stream": litellm_stream(GPT),
    "litellm anthropic stream": litellm_stream(CLAUDE),
    "openai": openai_sync(),
    "openai stream": openai_stream(),
    "anthropic": anthropic_sync(),
    "anthropic stream": anthropic_stream(),
    **asyncio.run(asynchronous()),
}
print(json.dumps(answers))
"""
WAYS = {
    f"{sdk}{way}"
    for sdk in ("litellm openai", "litellm anthropic", "openai", "anthropic")
    for way in ("", " stream", " async", " async stream")
}


def ways_that_work(session: Session, python: str) -> set[str]:
    """Ask in every way, in one process: importing LiteLLM takes seconds."""
    session.store()
    session.store("anthropic/dev")
    session.trust(TRUSTED)
    session.script("every.py", EVERY_WAY)
    done = session.run(f"brokerctl run {python} every.py")
    session.trust()
    assert done.status == 0, done
    answers: dict[str, str] = json.loads(done.stdout.splitlines()[-1])
    return {way for way, answer in answers.items() if answer.strip().endswith("is good.")}


@pytest.mark.slow
def test_the_real_sdks_ask_in_every_way_with_one_lease_of_each_secret(session: Session) -> None:
    assert ways_that_work(session, "python") == WAYS
    opened = session.events(event="session.opened")[-1]
    leases = session.events(event="lease.acquired", session=opened["session"])
    assert sorted(each["secret"] for each in leases) == ["anthropic/dev", "openai/dev"]


@pytest.mark.slow
@pytest.mark.parametrize("version", ["oldest", "newest"])
def test_the_oldest_and_the_newest_litellm_ask_too(session: Session, version: str) -> None:
    python = require_program(str(ROOT / f".venv-{version}/bin/python"), "make setup-full")
    assert ways_that_work(session, python) == WAYS


def test_a_running_app_goes_on_with_the_new_key_after_a_rotation(session: Session) -> None:
    old = session.store()
    with session.starts("while True: print(ask(), flush=True); input()") as app:
        assert "is good" in app.says()
        new = session.store()
        session.provider.rotate("openai", new)
        asked = len(session.provider.asked)
        app.go_on()
        assert "is good" in app.says()
        assert [each.key for each in session.provider.asked[asked:]] == [new]
        (ended,) = session.events(event="lease.ended", pid=app.pid)
        assert ended["reason"] == "secret rotated"
        assert session.run("brokerctl secret rollback openai/dev").status == 0
        session.provider.accept("openai", old)
        app.go_on()
        assert "is good" in app.says()
        assert session.provider.asked[-1].key == old
    session.provider.accept("openai", new)


class ImpatientProvider(Provider):
    """Takes back a key while a request that carries it is on its way."""

    session: Session
    impatient = False

    def judge(self, provider: str, model: str, key: str) -> str | None:
        if self.impatient:
            self.impatient = False
            self.rotate(provider, self.session.store())
        return super().judge(provider, model, key)


@pytest.fixture
def impatient(tmp_path: Path) -> Iterator[ImpatientProvider]:
    with ImpatientProvider({"openai": "none yet", "anthropic": "none yet"}) as provider:
        (tmp_path / "home").mkdir()
        provider.session = Session(tmp_path / "home", provider)
        provider.session.unlock()
        provider.session.store()
        provider.session.trust()
        yield provider
        provider.session.close()


def test_a_refused_key_is_fetched_anew_and_the_request_sent_again(
    impatient: ImpatientProvider,
) -> None:
    impatient.impatient = True
    done = impatient.session.app("print(ask())")
    assert done.stdout == "Hello from openai, your key no. 3 is good.\n"
    assert [each.accepted for each in impatient.asked] == [False, True]


ROUTER = """
import litellm
params = {"model": "openai/gpt-5-mini", "api_key": "os.environ/OPENAI_API_KEY"}
router = litellm.Router([{"model_name": "it", "litellm_params": params}], num_retries=0)
for _ in range(2):
    answer = router.completion("it", [{"role": "user", "content": "hello"}])
    print(answer.choices[0].message.content)
"""


@pytest.mark.slow
def test_litellms_router_does_not_notice_that_its_key_was_refused(
    impatient: ImpatientProvider,
) -> None:
    """It would put the deployment aside, and with the only one gone refuse the next question."""
    impatient.impatient = True
    done = impatient.session.app(ROUTER)
    assert done.stdout == "Hello from openai, your key no. 3 is good.\n" * 2, done
    assert [each.accepted for each in impatient.asked] == [False, True, True]


def test_a_refusal_without_a_newer_key_reaches_the_app_without_the_key(session: Session) -> None:
    asked = len(session.provider.asked)
    done = session.app("print(ask('out-of-bounds'))")
    assert done.stdout == "401 Incorrect API key provided: brokerref:openai/dev\n"
    assert len(session.provider.asked) == asked + 1
    opened = session.events(event="session.opened")[-1]
    ended = session.events(event="lease.ended", session=opened["session"])
    assert ended[0]["reason"] == "rejected by the provider"


SHORT = """
import time
for _ in range(8):
    print(ask(), flush=True)
    time.sleep(0.5)
"""


@pytest.mark.slow  # on the real clock; tests/brokershim has the same on a clock of its own
def test_a_short_lease_is_renewed_while_the_app_runs(session: Session) -> None:
    session.run("brokerctl secret set openai/dev --keep-value --max-ttl 2s")
    with session.starts(SHORT) as app:
        assert all("is good" in app.says() for _ in range(8))
        (lease,) = session.events(event="lease.acquired", pid=app.pid)
    session.run("brokerctl secret set openai/dev --keep-value --max-ttl 15m")
    assert len(session.events(event="lease.renewed", lease=lease["lease"])) >= 2
