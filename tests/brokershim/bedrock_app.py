"""An app that asks Bedrock, with references in its environment; ``URL KIND``.

KIND is ``botocore`` or ``litellm``. Everything that either shows it is kept, and then searched.
"""

from __future__ import annotations

import asyncio
import gc
import importlib
import sys
from collections.abc import Awaitable, Callable
from typing import Any

from tests.brokershim.sdk_app import ajoined, joined, keep_callbacks, refused_with, threaded
from tests.brokershim.search import Kept

URL, KIND = (sys.argv[1], sys.argv[2]) if len(sys.argv) > 2 else ("", "")
ELSEWHERE = URL.replace("127.0.0.1", "localhost")
REGION, MODEL = "eu-central-1", "anthropic.claude-3-haiku-20240307-v1:0"
ASKED = [{"role": "user", "content": "hello"}]
CHECKS: dict[str, dict[str, Callable[[Kept], Awaitable[Any]]]] = {"botocore": {}, "litellm": {}}


def check(kind: str) -> Callable[[Callable[[Kept], Awaitable[Any]]], None]:
    def kept(work: Callable[[Kept], Awaitable[Any]]) -> None:
        CHECKS[kind][work.__name__] = work

    return kept


def converse(way: str, url: str = URL) -> dict[str, Any]:
    return {
        "model": f"bedrock/{way}{MODEL}",
        "messages": ASKED,
        "aws_bedrock_runtime_endpoint": url,
        "aws_region_name": REGION,
        "max_tokens": 9,
        "num_retries": 0,
    }


def boto(kept: Kept, url: str = URL) -> Any:
    boto3: Any = importlib.import_module("boto3")  # it carries no types
    config: Any = importlib.import_module("botocore.config")
    once = config.Config(retries={"total_max_attempts": 1})
    made = boto3.client("bedrock-runtime", region_name=REGION, endpoint_url=url, config=once)
    made.meta.events.register("*", lambda **event: kept.things.append(event))
    kept.things.append(made)
    return made


def question() -> dict[str, Any]:
    return {"modelId": MODEL, "messages": [{"role": "user", "content": [{"text": "hello"}]}]}


@check("botocore")
async def boto_converse(kept: Kept) -> str:
    answer = await threaded(boto(kept).converse, **question())
    kept.things.append(answer)
    return str(answer["output"]["message"]["content"][0]["text"])


@check("botocore")
async def boto_stream(kept: Kept) -> str:
    answer = await threaded(boto(kept).converse_stream, **question())
    kept.things.append(answer)
    events = await threaded(list, answer["stream"])
    deltas = [each["contentBlockDelta"]["delta"] for each in events if "contentBlockDelta" in each]
    return "".join(each["text"] for each in deltas)


@check("botocore")
async def boto_refusal(kept: Kept) -> str:
    return await refused_with(kept, threaded(boto(kept, ELSEWHERE).converse, **question()))


@check("botocore")
async def boto_broken(kept: Kept) -> str:
    texts = [
        await refused_with(kept, threaded(boto(kept, f"{URL}/{way}").converse, **question()))
        for way in ("cut", "repeat")
    ]
    return "\n".join(texts)


def litellm() -> Any:
    import litellm

    return litellm


def text(answer: Any) -> str:
    return str(answer.choices[0].message.content)


@check("litellm")
async def litellm_completion(kept: Kept) -> str:
    answers = [
        await threaded(litellm().completion, **converse("")),
        await threaded(litellm().completion, **converse("converse/")),
        await threaded(litellm().completion, **converse("invoke/")),
    ]
    kept.things += answers
    return str([text(each) for each in answers])


@check("litellm")
async def litellm_acompletion(kept: Kept) -> str:
    answers = [
        await litellm().acompletion(**converse("")),
        await litellm().acompletion(**converse("invoke/")),
    ]
    kept.things += answers
    return str([text(each) for each in answers])


@check("litellm")
async def litellm_streams(kept: Kept) -> str:
    stream = await threaded(litellm().completion, **converse(""), stream=True)
    astream = await litellm().acompletion(**converse(""), stream=True)
    kept.things += [stream, astream]
    return str([await threaded(joined, stream), await ajoined(astream)])


@check("litellm")
async def litellm_router(kept: Kept) -> str:
    params = converse("")
    del params["messages"]
    router = litellm().Router([{"model_name": "mine", "litellm_params": params}])
    answer = await router.acompletion(model="mine", messages=ASKED)
    kept.things += [router, answer]
    return text(answer)


@check("litellm")
async def litellm_refusal(kept: Kept) -> str:
    how = converse("", ELSEWHERE)
    texts = [await refused_with(kept, threaded(litellm().completion, **how))]
    texts.append(await refused_with(kept, litellm().acompletion(**how)))
    return "\n".join(texts)


@check("litellm")
async def litellm_repeated(kept: Kept) -> str:
    how = converse("", f"{URL}/repeat")
    texts = [await refused_with(kept, threaded(litellm().completion, **how))]
    texts.append(await refused_with(kept, litellm().acompletion(**how)))
    return "\n".join(texts)


@check("litellm")
async def anthropic_bedrock(kept: Kept) -> str:
    anthropic: Any = importlib.import_module("anthropic")
    client = anthropic.AnthropicBedrock(aws_region=REGION, base_url=URL, max_retries=0)
    how: Any = {"model": MODEL, "messages": ASKED, "max_tokens": 9}
    answer = await threaded(client.messages.create, **how)
    kept.things += [client, answer]
    return str(answer.content[0].text)


async def main() -> None:
    kept = Kept()
    if KIND == "litellm":
        keep_callbacks(kept)
    results: dict[str, str] = {}
    for name, work in CHECKS[KIND].items():
        try:
            results[name] = await work(kept)
        except Exception as error:  # noqa: BLE001 - the test shows it
            kept.things.append(error)
            results[name] = f"failed: {type(error).__name__}: {error}"
    gc.collect()  # as in sdk_app
    kept.report(results=results, kept=len(kept.things))


if __name__ == "__main__":
    asyncio.run(main())
