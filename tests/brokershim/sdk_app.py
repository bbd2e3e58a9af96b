"""An app with LiteLLM, openai and anthropic in it, and a check of each way that they send keys.

``sdk_app URL``: the first part of the path of each request tells the provider how to behave. It
runs in the tests' own environment, and in those of other LiteLLM versions.
"""

from __future__ import annotations

import asyncio
import gc
import os
import sys
from collections.abc import Awaitable, Callable
from typing import Any

from tests.brokershim.search import Kept

REFERENCE = "brokerref:openai/dev"
TOKEN = "brokerref:anthropic/token"
OPEN_TOKEN = "brokerref:left/open-token"
URL = sys.argv[1] if len(sys.argv) > 1 else ""
ELSEWHERE = URL.replace("127.0.0.1", "localhost")
ASKED = [{"role": "user", "content": "hello"}]
GPT = {"model": "openai/gpt-4o", "messages": ASKED, "num_retries": 0, "max_retries": 0}
CLAUDE = {**GPT, "model": "anthropic/claude-3-5-sonnet-20241022", "max_tokens": 9}
CHECKS: dict[str, Callable[[Kept], Awaitable[Any]]] = {}


def check(work: Callable[[Kept], Awaitable[Any]]) -> Callable[[Kept], Awaitable[Any]]:
    CHECKS[work.__name__] = work
    return work


def base(way: str, url: str = URL) -> str:
    return f"{url}/{way}/v1"


async def refused_with(kept: Kept, asking: Awaitable[Any]) -> str:
    """Return the text of the exception that comes of it."""
    try:
        kept.things.append(await asking)
    except Exception as error:  # noqa: BLE001 - each SDK has its own
        kept.things.append(error)
        return f"{type(error).__name__}: {error}"
    return "was answered"


async def threaded(work: Callable[..., Any], *args: Any, **how: Any) -> Any:
    return await asyncio.to_thread(work, *args, **how)


def joined(stream: Any) -> str:
    return "".join(part.choices[0].delta.content or "" for part in stream)


async def ajoined(stream: Any) -> str:
    return "".join([part.choices[0].delta.content or "" async for part in stream])


def litellm() -> Any:
    import litellm

    return litellm


def openai(way: str, url: str = URL, kind: str = "OpenAI", **how: Any) -> Any:
    import openai

    return getattr(openai, kind)(base_url=base(way, url), api_key=REFERENCE, max_retries=0, **how)


def anthropic(way: str, url: str = URL, kind: str = "Anthropic") -> Any:
    import anthropic

    made = getattr(anthropic, kind)
    return made(base_url=f"{url}/{way}", api_key=REFERENCE, max_retries=0)


@check
async def litellm_completion(kept: Kept) -> str:
    answer = await threaded(litellm().completion, **GPT, api_base=base("plain"))
    kept.things.append(answer)
    return str(answer.choices[0].message.content)


@check
async def litellm_acompletion(kept: Kept) -> str:
    answer = await litellm().acompletion(**GPT, api_base=base("plain"))
    kept.things.append(answer)
    return str(answer.choices[0].message.content)


@check
async def litellm_stream(kept: Kept) -> str:
    stream = await threaded(litellm().completion, **GPT, api_base=base("plain"), stream=True)
    kept.things.append(stream)
    return str(await threaded(joined, stream))


@check
async def litellm_astream(kept: Kept) -> str:
    stream = await litellm().acompletion(**GPT, api_base=base("plain"), stream=True)
    kept.things.append(stream)
    return await ajoined(stream)


@check
async def litellm_anthropic(kept: Kept) -> str:
    answer = await threaded(litellm().completion, **CLAUDE, api_base=f"{URL}/plain")
    kept.things.append(answer)
    return str(answer.choices[0].message.content)


@check
async def litellm_aanthropic_stream(kept: Kept) -> str:
    # With a key of its own, that is not looked for: LiteLLM stops at the last event, and leaves the
    # connection open, and so the request in memory, for as long as it keeps the stream.
    how = {**CLAUDE, "api_key": "brokerref:left/open", "api_base": f"{URL}/plain"}
    stream = await litellm().acompletion(**how, stream=True)
    kept.things.append(stream)
    return await ajoined(stream)


@check
async def litellm_messages(kept: Kept) -> str:
    how = {"model": CLAUDE["model"], "messages": ASKED, "max_tokens": 9}
    answer = await litellm().anthropic_messages(**how, api_base=f"{URL}/plain")
    kept.things.append(answer)
    return str(answer["content"][0]["text"])


@check
async def litellm_embedding(kept: Kept) -> str:
    how = {"model": "openai/text-embedding-3-small", "input": ["a"], "api_base": base("plain")}
    answers = [await threaded(litellm().embedding, **how), await litellm().aembedding(**how)]
    kept.things += answers
    return str([each.data[0]["embedding"] for each in answers])


@check
async def litellm_transcription(kept: Kept) -> str:
    how = {"model": "openai/whisper-1", "file": ("a.wav", b"RIFF"), "api_base": base("plain")}
    answer = await litellm().atranscription(**how)
    kept.things.append(answer)
    return str(answer.text)


@check
async def litellm_gemini(kept: Kept) -> str:
    how = {**GPT, "model": "gemini/gemini-2.0-flash", "api_key": REFERENCE}
    return await refused_with(kept, litellm().acompletion(**how, api_base=f"{URL}/repeat"))


@check
async def litellm_router(kept: Kept) -> str:
    params = {"model": "openai/gpt-4o", "api_key": "os.environ/OPENAI_API_KEY",
              "api_base": base("plain")}  # fmt: skip
    router = litellm().Router([{"model_name": "mine", "litellm_params": params}])
    answers = [await router.acompletion(model="mine", messages=ASKED)]
    answers.append(await threaded(router.completion, model="mine", messages=ASKED))
    kept.things += [router, *answers]
    return str([each.choices[0].message.content for each in answers])


@check
async def litellm_repeated_key(kept: Kept) -> str:
    sync = threaded(litellm().completion, **GPT, api_base=base("repeat"))
    texts = [await refused_with(kept, sync)]
    texts.append(await refused_with(kept, litellm().acompletion(**GPT, api_base=base("repeat"))))
    texts.append(await refused_with(kept, litellm().acompletion(**CLAUDE, api_base=base("repeat"))))
    return "\n".join(texts)


@check
async def litellm_refusal(kept: Kept) -> str:
    sync = threaded(litellm().completion, **GPT, api_base=base("plain", ELSEWHERE))
    texts = [await refused_with(kept, sync)]
    how = {**CLAUDE, "api_base": f"{ELSEWHERE}/plain"}
    texts.append(await refused_with(kept, litellm().acompletion(**how)))
    return "\n".join(texts)


@check
async def litellm_rotated(kept: Kept) -> str:
    answers = [
        await threaded(litellm().completion, **GPT, api_base=base("rotate-a")),
        await litellm().acompletion(**GPT, api_base=base("rotate-b")),
        await litellm().acompletion(**CLAUDE, api_base=f"{URL}/rotate-c"),
    ]
    stream = await litellm().acompletion(**GPT, api_base=base("rotate-d"), stream=True)
    kept.things += [*answers, stream]
    texts = [each.choices[0].message.content for each in answers]
    return str([*texts, await ajoined(stream)])


@check
async def litellm_dropped(kept: Kept) -> str:
    texts = [
        await refused_with(kept, litellm().acompletion(**GPT, api_base=base(way)))
        for way in ("no-headers", "garbage", "half-body")
    ]
    texts.append(
        await refused_with(kept, litellm().acompletion(**CLAUDE, api_base=base("garbage")))
    )
    return "\n".join(texts)


@check
async def openai_chat(kept: Kept) -> str:
    how = {"model": "gpt-4o", "messages": ASKED}
    client, aclient = openai("plain"), openai("plain", kind="AsyncOpenAI")
    answers = [
        await threaded(client.chat.completions.create, **how),
        await aclient.chat.completions.create(**how),
    ]
    stream = await threaded(client.chat.completions.create, **how, stream=True)
    astream = await aclient.chat.completions.create(**how, stream=True)
    kept.things += [client, aclient, *answers, stream, astream]
    texts = [each.choices[0].message.content for each in answers]
    return str([*texts, await threaded(joined, stream), await ajoined(astream)])


@check
async def openai_more(kept: Kept) -> str:
    client = openai("plain", kind="AsyncOpenAI")
    file = ("a.wav", b"RIFF")
    vector = await client.embeddings.create(model="m", input="a", encoding_format="float")
    answer = await client.responses.create(model="gpt-4o", input="hello")
    heard = await client.audio.transcriptions.create(model="whisper-1", file=file)
    raw = await client.chat.completions.with_raw_response.create(model="m", messages=ASKED)
    kept.things += [vector, answer, heard, raw]
    sent = raw.http_request.headers["authorization"]
    return str([vector.data[0].embedding, answer.output_text, heard.text, sent])


@check
async def openai_azure(kept: Kept) -> str:
    import openai as sdk

    client: Any = sdk.AsyncAzureOpenAI(
        azure_endpoint=f"{URL}/repeat", api_key=REFERENCE, api_version="v", max_retries=0
    )
    return await refused_with(kept, client.chat.completions.create(model="m", messages=ASKED))


@check
async def openai_repeated_key(kept: Kept) -> str:
    how = {"model": "gpt-4o", "messages": ASKED}
    sync = threaded(openai("repeat").chat.completions.create, **how)
    texts = [await refused_with(kept, sync)]
    client = openai("repeat", kind="AsyncOpenAI")
    texts.append(await refused_with(kept, client.chat.completions.create(**how, stream=True)))
    return "\n".join(texts)


@check
async def openai_refusal(kept: Kept) -> str:
    client = openai("plain", ELSEWHERE, "AsyncOpenAI")
    return await refused_with(kept, client.chat.completions.create(model="m", messages=ASKED))


@check
async def openai_rotated(kept: Kept) -> str:
    how = {"model": "gpt-4o", "messages": ASKED}
    answer = await threaded(openai("rotate-e").chat.completions.create, **how)
    kept.things.append(answer)
    return str(answer.choices[0].message.content)


@check
async def anthropic_messages(kept: Kept) -> str:
    how = {"model": "claude-3-5-sonnet", "messages": ASKED, "max_tokens": 9}
    client, aclient = anthropic("plain"), anthropic("plain", kind="AsyncAnthropic")
    answers = [await threaded(client.messages.create, **how), await aclient.messages.create(**how)]
    kept.things += [client, aclient, *answers]
    texts = [each.content[0].text for each in answers]
    async with aclient.messages.stream(**how) as stream:
        texts.append("".join([text async for text in stream.text_stream]))
    return str(texts)


@check
async def anthropic_repeated_key(kept: Kept) -> str:
    how = {"model": "claude-3-5-sonnet", "messages": ASKED, "max_tokens": 9}
    return await refused_with(kept, threaded(anthropic("repeat").messages.create, **how))


@check
async def anthropic_refusal(kept: Kept) -> str:
    how = {"model": "claude-3-5-sonnet", "messages": ASKED, "max_tokens": 9}
    client = anthropic("plain", ELSEWHERE, "AsyncAnthropic")
    return await refused_with(kept, client.messages.create(**how))


@check
async def litellm_token(kept: Kept) -> str:
    how = {**CLAUDE, "api_key": TOKEN, "api_base": f"{URL}/token"}
    answers = [await threaded(litellm().completion, **how), await litellm().acompletion(**how)]
    stream = await threaded(litellm().completion, **{**how, "api_key": OPEN_TOKEN}, stream=True)
    texts = [each.choices[0].message.content for each in answers]
    texts.append(await threaded(joined, stream))
    astream = await litellm().acompletion(**{**how, "api_key": OPEN_TOKEN}, stream=True)
    texts.append(await ajoined(astream))
    raw = await litellm().anthropic_messages(
        model=CLAUDE["model"],
        messages=ASKED,
        max_tokens=9,
        api_key=TOKEN,
        api_base=f"{URL}/token",
        extra_headers={"anthropic-beta": "tools-2025-01-01"},
    )
    kept.things += [*answers, stream, astream, raw]
    return str([*texts, raw["content"][0]["text"]])


@check
async def anthropic_token(kept: Kept) -> str:
    how = {"model": "claude-3-5-sonnet", "messages": ASKED, "max_tokens": 9}
    client, aclient = anthropic("token"), anthropic("token", kind="AsyncAnthropic")
    client.api_key = aclient.api_key = TOKEN
    answers = [await threaded(client.messages.create, **how), await aclient.messages.create(**how)]
    both = {"authorization": f"Bearer {TOKEN}"}
    answers.append(await threaded(client.messages.create, **how, extra_headers=both))
    kept.things += [client, aclient, *answers]
    texts = [each.content[0].text for each in answers]
    async with aclient.messages.stream(**how, extra_headers={"anthropic-beta": "a,b"}) as stream:
        texts.append("".join([text async for text in stream.text_stream]))
    return str(texts)


@check
async def anthropic_token_misplaced(kept: Kept) -> str:
    how = {"model": "claude-3-5-sonnet", "messages": ASKED, "max_tokens": 9}
    client = anthropic("token")
    client.api_key = TOKEN
    asking = threaded(client.messages.create, **how, extra_query={"key": TOKEN})
    return await refused_with(kept, asking)


def keep_callbacks(kept: Kept) -> None:
    """Keep all that LiteLLM hands to its callbacks, in every log line's full length."""
    from litellm.integrations.custom_logger import CustomLogger

    class Keeping(CustomLogger):  # type: ignore[misc]
        def keep(self, *args: Any, **named: Any) -> None:
            kept.things.append(("callback", args, named))

        async def akeep(self, *args: Any, **named: Any) -> None:
            kept.things.append(("callback", args, named))

        log_pre_api_call = log_post_api_call = keep
        log_success_event = log_failure_event = log_stream_event = keep
        async_log_success_event = async_log_failure_event = async_log_stream_event = akeep

    litellm().callbacks = [Keeping()]
    litellm()._turn_on_debug()


async def main() -> None:
    kept = Kept()
    os.environ.update(OPENAI_API_KEY=REFERENCE, ANTHROPIC_API_KEY=REFERENCE)
    keep_callbacks(kept)
    results: dict[str, str] = {}
    for name, work in CHECKS.items():
        try:
            results[name] = await work(kept)
        except Exception as error:  # noqa: BLE001 - the test shows it
            kept.things.append(error)
            results[name] = f"failed: {type(error).__name__}: {error}"
    gc.collect()  # an exception that LiteLLM swallowed, and aiohttp keeps, in a cycle with it
    callbacks = sum(isinstance(it, tuple) and it[0] == "callback" for it in kept.things)
    kept.report(results=results, callbacks=callbacks, kept=len(kept.things))


if __name__ == "__main__":
    asyncio.run(main())
