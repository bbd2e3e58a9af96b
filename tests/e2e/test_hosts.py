"""Where does a key go? Only to the hosts that its secret names, whatever a server says."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from tests.e2e.session import Session
from tests.e2e.transcript import like


class Recorder(ThreadingHTTPServer):
    """Notes the headers and the path of each request, and answers with a redirect, or with 200."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.host = f"127.0.0.1:{self.server_port}"
        self.url = f"http://{self.host}/v1"
        self.moved_to: str | None = None
        self.seen: list[str] = []
        self._thread = threading.Thread(target=self.serve_forever, args=(0.05,))
        self._thread.start()

    def close(self) -> None:
        self.shutdown()
        self.server_close()
        self._thread.join()


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        server: Any = self.server
        server.seen.append(f"{self.path}\n{self.headers}")
        self.rfile.read(int(self.headers.get("content-length", "0")))
        if server.moved_to is None:
            self.send_response(200)
        else:
            self.send_response(307)
            self.send_header("location", server.moved_to)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  (the base's name)
        pass


@pytest.fixture
def near() -> Iterator[Recorder]:
    """A server that the secret may go to."""
    server = Recorder()
    yield server
    server.close()


@pytest.fixture
def far() -> Iterator[Recorder]:
    """A server that it may not."""
    server = Recorder()
    yield server
    server.close()


POST = """
import httpx, os
key = os.environ["OPENAI_API_KEY"]
headers = {{"x-api-key": key, "authorization": f"Bearer {{key}}"}}
answer = httpx.post("{url}", headers=headers, follow_redirects=True)
print(answer.status_code, answer.text)
"""


def allow(session: Session, *servers: Recorder) -> str:
    """Store a key that may go to these servers."""
    key = session.new_key()
    hosts = " ".join(f"--host {each.host}" for each in servers)
    assert session.run(f"brokerctl secret set openai/dev {hosts}", key).status == 0
    return key


def test_a_redirect_to_another_host_does_not_take_the_key_along(
    session: Session, near: Recorder, far: Recorder
) -> None:
    key = allow(session, near)
    near.moved_to = far.url
    done = session.app(POST.format(url=near.url))
    assert key in near.seen[0]
    assert not any(key in each for each in far.seen)
    assert like(done.stdout, f"403 …openai/dev may not be sent to {far.host} (…--host {far.host}…")


def test_a_redirect_to_a_host_that_is_named_too_is_followed(
    session: Session, near: Recorder, far: Recorder
) -> None:
    key = allow(session, near, far)
    near.moved_to = far.url
    assert session.app(POST.format(url=near.url)).stdout.startswith("200")
    assert f"x-api-key: {key}" in far.seen[0]


def test_a_host_that_the_secret_does_not_name_gets_nothing(
    session: Session, near: Recorder, far: Recorder
) -> None:
    allow(session, near)
    done = session.app(POST.format(url=far.url))
    assert done.stdout.startswith("403")
    assert far.seen == []


def test_a_key_in_the_query_is_put_there_at_the_last_moment(
    session: Session, near: Recorder
) -> None:
    key = allow(session, near).replace("+", "%2B").replace("/", "%2F").replace("=", "%3D")
    done = session.app(
        f"""
        import httpx, os
        answer = httpx.post("{near.url}", params={{"key": os.environ["OPENAI_API_KEY"]}})
        print(answer.status_code, answer.request.url)
        """
    )
    assert near.seen[0].startswith(f"/v1?key={key}\n")
    assert done.stdout == f"200 {near.url}?key=brokerref%3Aopenai%2Fdev\n"


@pytest.mark.parametrize("option", ["-I", "-E", "-S"])
def test_a_python_without_the_shim_sends_the_reference(session: Session, option: str) -> None:
    session.store()
    session.script(
        "child.py",
        f"""
        import sys
        sys.path += {[*_site_packages(), session.project]}
        from ask import ask
        print(ask())
        """,
    )
    done = session.app(f"import subprocess; subprocess.run(['python', '{option}', 'child.py'])")
    assert done.stdout == "401 Incorrect API key provided: brokerref:openai/dev\n"
    assert session.provider.asked[-1].key == "brokerref:openai/dev"


def _site_packages() -> list[str]:
    import httpx

    return [httpx.__file__.rpartition("/httpx/")[0]]
