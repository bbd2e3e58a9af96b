"""An ordinary LiteLLM app: its keys and addresses stand in its environment, as for any other.

It is a careless one: it logs at debug level, writes down all that LiteLLM shows to a callback,
keeps a cache, and pickles what went wrong.
"""

from __future__ import annotations

import asyncio
import logging
import os
import pickle
import traceback
from typing import Any

import litellm
from litellm.caching.caching import Cache
from litellm.exceptions import AuthenticationError

QUESTION = [{"role": "user", "content": "Is my key good?"}]
GPT = "openai/gpt-5-mini"
CLAUDE = "anthropic/claude-sonnet-5"
CACHE = Cache()


def nosy(*seen: Any) -> None:
    """Write down all that LiteLLM lets a callback see."""
    write("callbacks.log", seen)


def write(file: str, what: Any) -> None:
    """Add to a file."""
    with open(file, "a") as out:
        print(repr(what), file=out)


def show(what: str, text: str) -> None:
    """Print one line."""
    print(f"{what:<18} {text.strip()}", flush=True)


def ask(model: str, **options: Any) -> Any:
    """Ask, and keep the answer in the cache."""
    return litellm.completion(model=model, messages=QUESTION, cache={"no-cache": True}, **options)


def text(answer: Any) -> str:
    """Return what the model said."""
    return str(answer.choices[0].message.content)


def streamed(model: str) -> str:
    """Ask, and put the parts of the answer together."""
    return "".join(part.choices[0].delta.content or "" for part in ask(model, stream=True))


def asynchronous(model: str) -> str:
    """Ask from an event loop."""
    return text(asyncio.run(litellm.acompletion(model=model, messages=QUESTION, caching=False)))


def fail() -> None:
    """Ask for what no key may use, and keep everything about the refusal."""
    try:
        ask("openai/out-of-bounds")
    except AuthenticationError as error:
        show("a refusal", str(error))
        write("failure.log", traceback.format_exc())
        with open("failure.pickle", "wb") as out:
            pickle.dump([error.args, vars(error.response), str(vars(error))], out)


def leave_traces() -> None:
    """Write down what is left in memory."""
    write("environ.log", dict(os.environ))
    write("cache.log", vars(CACHE.cache))
    write("clients.log", litellm.in_memory_llm_clients_cache.cache_dict)


def main() -> None:
    """Make some calls in every way there is."""
    logging.basicConfig(filename="debug.log", level=logging.DEBUG)
    logging.getLogger("LiteLLM").handlers.clear()  # into the file, not onto the screen as well
    litellm.suppress_debug_info = True
    litellm.input_callback = litellm.success_callback = litellm.failure_callback = [nosy]
    litellm.cache = CACHE
    show("OpenAI", text(ask(GPT)))
    show("Anthropic", text(ask(CLAUDE)))
    show("OpenAI, stream", streamed(GPT))
    show("Anthropic, stream", streamed(CLAUDE))
    show("OpenAI, async", asynchronous(GPT))
    show("Anthropic, async", asynchronous(CLAUDE))
    fail()
    leave_traces()


if __name__ == "__main__":
    main()
