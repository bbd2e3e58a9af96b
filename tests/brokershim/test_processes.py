"""The shim in every process of a session, however it was started."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.brokershim.conftest import KEY
from tests.support.fakebroker import FakeBroker
from tests.support.misbehaviour import misbehaving
from tests.support.provider import Provider, key_of
from tests.support.require import require_program
from tests.support.session import environment, python

ASK = """
import httpx
def ask(url):
    return httpx.post(url, headers={"authorization": "Bearer brokerref:openai/dev"}).status_code
"""


@pytest.fixture
def app(tmp_path: Path) -> Path:
    """Return a folder with a module that asks."""
    made = tmp_path / "app"
    made.mkdir()
    (made / "asking.py").write_text(ASK)
    return made


def asked_with_key(provider: Provider, count: int) -> bool:
    return [key_of(asked) for asked in provider.asked] == [KEY] * count


@pytest.mark.parametrize("method", ["spawn", "fork", "forkserver"])
def test_child_of_multiprocessing_leases_its_own(
    broker: FakeBroker, app: Path, method: str
) -> None:
    (app / "main.py").write_text(f"""
import multiprocessing, sys
import asking
if __name__ == "__main__":
    context = multiprocessing.get_context({method!r})
    print(asking.ask(sys.argv[1]))
    with context.Pool(2) as pool:
        print(pool.map(asking.ask, [sys.argv[1]] * 4, chunksize=1))
    print(asking.ask(sys.argv[1]))
""")
    with Provider(misbehaving) as provider:
        done = python(broker, str(app / "main.py"), provider.url)
        assert asked_with_key(provider, 6)
    assert (done.stdout, done.stderr) == ("200\n[200, 200, 200, 200]\n200\n", "")
    assert 2 <= broker.greeted <= 3, "the parent once, and each child that got work"


def test_fork_in_the_middle_of_a_lease_does_not_hang(broker: FakeBroker, app: Path) -> None:
    """A thread of the parent waits for the daemon, and holds the lock, when the child is made."""
    (app / "main.py").write_text("""
import os, sys, threading
import asking
from brokershim.holder import of_process
url = sys.argv[1]
slow = threading.Thread(target=asking.ask, args=(url,))
slow.start()
while not of_process()._lock.locked():
    pass
if os.fork() == 0:
    try:
        print(asking.ask(url), flush=True)
    finally:
        os._exit(0)
os.wait()
slow.join()
""")
    answer = broker.answer

    def slow_at_first(method: str, params: dict[str, object]) -> dict[str, object]:
        if len(broker.calls) == 1:
            broker.wait_for("lease.acquire", 2)  # the child's, which does not wait for us
        return answer(method, params)

    broker.answer = slow_at_first  # type: ignore[method-assign]
    with Provider(misbehaving) as provider:
        done = python(broker, str(app / "main.py"), provider.url)
        assert asked_with_key(provider, 2)
    assert (done.stdout, done.stderr) == ("200\n", "")


def test_pytest_and_its_app(broker: FakeBroker, app: Path) -> None:
    (app / "test_app.py").write_text("""
import os, asking
def test_asks():
    assert asking.ask(os.environ["URL"]) == 200
""")
    with Provider(misbehaving) as provider:
        args = ("-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(app), str(app))
        done = python(broker, *args, URL=provider.url)
        assert asked_with_key(provider, 1)
    assert "1 passed" in done.stdout, done.stdout + done.stderr


def test_uv_run(broker: FakeBroker, app: Path) -> None:
    uv = require_program(str(Path(sys.executable).parent / "uv"), "make setup")
    command = [uv, "run", "--no-project", "--offline", "--python", sys.executable]
    code = "import sys, asking; print(asking.ask(sys.argv[1]))"
    with Provider(misbehaving) as provider:
        done = subprocess.run(
            [*command, "python", "-c", code, provider.url],
            env=environment(broker, UV_CACHE_DIR=str(app / "cache")),
            cwd=app,
            capture_output=True,
            text=True,
            check=False,
        )
        assert asked_with_key(provider, 1)
    assert done.stdout == "200\n", done.stderr


def test_end_of_the_process_closes_the_connection(broker: FakeBroker, app: Path) -> None:
    (app / "main.py").write_text("""
import atexit, sys
import asking
atexit.register(lambda: print(asking.ask(sys.argv[1])))  # such as LiteLLM's last events
print(asking.ask(sys.argv[1]))
""")
    with Provider(misbehaving) as provider:
        done = python(broker, str(app / "main.py"), provider.url)
    assert (done.stdout, done.stderr) == ("200\n200\n", "")
    assert len(broker.named("lease.acquire")) == 1


PYTHONS = ["3.6", "3.7", "3.8", "3.9", "3.10", "3.11", "3.12", "3.13"]


def found(version: str) -> str:
    """Return an interpreter of a version: one on PATH, or one of pyenv's."""
    pyenv = sorted((Path.home() / ".pyenv" / "versions").glob(f"{version}.*/bin/python"))
    name = str(pyenv[-1]) if pyenv else f"python{version}"
    return require_program(name, f"install Python {version}")


@pytest.mark.slow
@pytest.mark.parametrize("version", PYTHONS)
def test_each_python_starts_and_the_old_ones_say_what_they_lack(
    broker: FakeBroker, version: str
) -> None:
    code = "import sys; print(type(sys.meta_path[0]).__name__, 'brokershim' in sys.modules)"
    done = python(broker, "-c", code, executable=found(version))
    if tuple(map(int, version.split("."))) >= (3, 9):
        assert (done.stdout, done.stderr) == ("_Finder True\n", "")
    else:
        assert done.stdout.endswith(" False\n")
        assert done.stderr.startswith("brokershim: needs Python 3.9")
        assert done.stderr.count("\n") == 1


@pytest.mark.slow
@pytest.mark.parametrize("version", PYTHONS[3:])
def test_each_python_leases(broker: FakeBroker, version: str) -> None:
    code = "from brokershim.holder import of_process; print(of_process().get('openai/dev').version)"
    done = python(broker, "-c", code, executable=found(version))
    assert (done.stdout, done.stderr) == ("1\n", "")
