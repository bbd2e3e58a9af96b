"""Claims 1 to 4: a package among the app's dependencies looks wherever keys usually stand."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from brokerd.foreign import _NAMES as FOREIGN
from brokerd.providers import PROVIDERS
from demo import search
from demo.forms import Needles
from tests.e2e.session import Session, eventually

_REPOSITORY = Path(__file__).parents[2]

# What a stealer that came by `pip install` does first.
_STEALER = """
import glob, os, subprocess, sys

def loot():
    found = {f"os.environ {name}": value for name, value in os.environ.items()}
    found["argv"] = " ".join(sys.argv)
    for name in ("environ", "cmdline"):
        found[name] = open(f"/proc/self/{name}", errors="replace").read()
    found["child"] = subprocess.run(["env"], capture_output=True, text=True).stdout
    for path in glob.glob(".*") + glob.glob("*") + glob.glob(os.path.expanduser("~/.*")):
        if os.path.isfile(path):
            found[path] = open(path, errors="replace").read()
    return found
"""


def _needles(home: Session) -> Needles:
    return Needles(home.keys)


def test_claim_01_a_dependency_finds_references_only(home: Session) -> None:
    home.store()
    home.script("stealer.py", _STEALER)
    done = home.app("import json, stealer\nprint(ask())\nprint(json.dumps(stealer.loot()))")
    answer, loot = done.stdout.splitlines()
    assert "is good" in answer  # the key was used, and by this very process
    assert json.loads(loot)["os.environ OPENAI_API_KEY"] == "brokerref:openai/dev"
    assert _needles(home).find(loot.encode()) is None


def test_claim_01_a_reader_of_proc_finds_references_only(home: Session) -> None:
    """Read while the app holds the key, and while `secret set` and `unlock` are at work too."""
    key = home.store()
    with home.starts("print(ask(), flush=True)\ninput()") as app:
        assert "is good" in app.says()
        with subprocess.Popen(
            ["brokerctl", "secret", "set", "openai/b", "--host", home.provider.host],
            stdin=subprocess.PIPE, env=home.environment, cwd=home.project,
            stdout=subprocess.DEVNULL,
        ) as setting:  # fmt: skip
            assert setting.stdin is not None
            setting.stdin.write(home.new_key().encode())
            setting.stdin.flush()
            _find_nothing(home)
            setting.stdin.close()
        environ = Path(f"/proc/{app.pid}/environ").read_bytes()
        assert b"OPENAI_API_KEY=brokerref:openai/dev\0" in environ
    with subprocess.Popen(["sleep", "60"], env={"LEAK": f"user:{key}"}) as planted:
        # The control. A process that has just begun shows no environment for a moment.
        there = [f"environ of process {planted.pid}: in clear"]
        seen = eventually(lambda: search.in_processes(_needles(home), "environ").found == there)
        planted.kill()
    assert seen


def _find_nothing(home: Session) -> None:
    for part in ("environ", "cmdline"):
        report = search.in_processes(_needles(home), part)
        assert report.places > 3
        assert report.found == []


_LITELLM = """
import logging, os, pickle, sys, traceback
import litellm
from litellm.caching.caching import Cache

logging.basicConfig(filename="debug.log", level=logging.DEBUG)
litellm._turn_on_debug()
litellm.cache = Cache(type="local")
kept, events = [], []

class Callback(litellm.integrations.custom_logger.CustomLogger):
    def log_success_event(self, *event):
        events.append(event)
    log_failure_event = log_success_event

litellm.callbacks = [Callback()]
key = "os.environ/OPENAI_API_KEY"
router = litellm.Router([
    {{"model_name": name, "litellm_params": {{"model": model, "api_key": key}}}}
    for name, model in (("good", "openai/some-model"), ("bad", "openai/{refused}"))
], num_retries=0)
ask = [{{"role": "user", "content": "hello"}}]

def attempt(call, **more):
    try:
        kept.append(call(messages=ask, max_retries=0, **more))
    except Exception as error:
        kept.append(error)
        parts = traceback.TracebackException.from_exception(error, capture_locals=True)
        open("crash.txt", "a").writelines(parts.format())

attempt(litellm.completion, model="openai/some-model", caching=True)
attempt(litellm.completion, model="openai/some-model", stream=True)
kept.append(list(kept[-1]))
attempt(router.completion, model="good")
attempt(litellm.completion, model="openai/{refused}")
attempt(router.completion, model="bad")
attempt(litellm.completion, model="openai/unreachable", api_base="http://127.0.0.1:1/v1")
print([type(each).__name__ for each in kept], file=sys.stderr)
with open("cache.pickle", "wb") as file:
    pickle.dump([kept[0], litellm.cache.cache.cache_dict], file)
"""
_SEARCH = """
import gc, json
sys.path.insert(0, {repository!r})
from tests.support.heap import holders_of
from brokershim.holder import of_process

mirrored = of_process()._leases["openai/dev"].value[::-1]
of_process().close()  # the one place where a key may stand; all else must not keep it
gc.collect()
planted = ["planted to be found: " + mirrored[::-1]]
holders = holders_of(mirrored[::-1])  # once for both: there are a million objects
found = [line for line in holders if "planted to be found: " not in line]
print("FOUND", json.dumps([found, len(holders) - len(found)]))
"""


@pytest.fixture(scope="module")
def careless(home: Session) -> list[Any]:
    """Run LiteLLM with all that writes or keeps something switched on, and then search its heap."""
    host = f"--host {home.provider.host} --host 127.0.0.1:1"  # at the other nobody listens
    assert home.run(f"brokerctl secret set openai/dev {host}", home.new_key()).status == 0
    code = _LITELLM.format(refused="out-of-bounds")
    done = home.app(code + _SEARCH.format(repository=str(_REPOSITORY)))
    assert done.status == 0, done
    kinds = done.stderr.rpartition("[")[2]
    assert kinds.startswith("'ModelResponse', 'CustomStreamWrapper', 'list', 'ModelResponse'")
    assert kinds.count("Error") == 3, kinds
    crashes = Path(home.project, "crash.txt").read_text()
    assert crashes.count("Incorrect API key provided: brokerref:openai/dev") >= 2
    assert "Connection refused" in crashes
    (line,) = [each for each in done.stdout.splitlines() if each.startswith("FOUND ")]
    found: list[Any] = json.loads(line.removeprefix("FOUND "))
    return found


@pytest.mark.usefixtures("careless")
def test_claim_02_no_file_of_litellm_or_of_ours_holds_a_key(home: Session) -> None:
    written = [Path(home.project, name) for name in ("debug.log", "crash.txt", "cache.pickle")]
    assert all(b"brokerref:openai/dev" in each.read_bytes() for each in written[:2])
    assert all(each.stat().st_size > 500 for each in written)
    report = search.in_folders(_needles(home), [home.root])
    assert report.clean, report.found
    names = {path.name for path in Path(home.state).rglob("*")}
    assert {"secrets.sealed", "daemon.log", "journal.jsonl", "audit-000001.jsonl"} <= names
    Path(home.project, "planted").write_text(f"key={home.keys[0]}")
    assert search.in_folders(_needles(home), [home.root]).found  # the control
    Path(home.project, "planted").unlink()


def test_claim_03_no_object_keeps_a_key(careless: list[Any]) -> None:
    """Every object of the process is looked at: answers, exceptions, frames, callbacks, caches."""
    found, planted = careless
    assert found == []
    assert planted > 0  # the control


# 4. The environment that is passed on

_ODD = {
    "MY_BACKUP": "sk-proj-" + "A1b2C3d4" * 5,
    "DSN": "https://me:sk-ant-api03-" + "x" * 40 + "@proxy/v1",
    "SETTINGS": '{"groq": "gsk_' + "a1B2" * 10 + '"}',
}
_PRINT = "import json, os\nprint(json.dumps(dict(os.environ)))"


def test_claim_04_real_keys_are_not_passed_on(home: Session) -> None:
    known = {
        variable: f"a-key-without-shape-{number}"
        for number, provider in enumerate(PROVIDERS.values())
        for variable in (provider.variable, *provider.aliases)
    }
    home.script("app.py", _PRINT)
    done = home.run("brokerctl run python app.py", env={**known, **_ODD})
    passed = json.loads(done.stdout)
    assert passed["OPENAI_API_KEY"] == "brokerref:openai/dev"
    assert not set(passed.values()) & {*known.values(), *_ODD.values()}
    for name in _ODD:
        assert f"{name} (real key)" in done.stderr
    assert not [value for value in known.values() if value in done.stderr]


def test_claim_04_variables_that_load_code_are_not_passed_on(home: Session) -> None:
    home.script("app.py", _PRINT)
    # Those of the loader and of Python itself would keep brokerctl from starting.
    planted = {name: "/nowhere" for name in FOREIGN if not name.startswith(("LD_", "PYTHON"))}
    planted |= {"LD_PRELOAD": "", "PYTHONSTARTUP": "/nowhere", "BASH_FUNC_ls%%": "() { :; }"}
    passed = json.loads(home.run("brokerctl run python app.py", env=planted).stdout)
    assert not passed.keys() & planted.keys()


def test_claim_04_planted_code_does_not_run_in_the_session(home: Session) -> None:
    """BASH_ENV (bash(1)) names a file that every script runs first."""
    planted = home.script("planted.sh", "echo PLANTED")
    home.script("job.sh", "echo job")
    env = {"BASH_ENV": planted}
    assert home.run("bash job.sh", env=env).stdout == "PLANTED\njob\n"  # the control
    assert home.run("brokerctl run bash job.sh", env=env).stdout == "job\n"


@pytest.mark.parametrize("variable", ["BASH_ENV", "PERL5OPT", "LD_PRELOAD", "PYTHONPATH", "HOME"])
def test_claim_04_nor_can_a_reference_name_planted_code(home: Session, variable: str) -> None:
    """A reference is a path too: of a file that a stranger's checkout may well contain."""
    os.makedirs(os.path.join(home.project, "brokerref:openai"), exist_ok=True)
    home.script("brokerref:openai/dev", "echo PLANTED")
    done = home.run(f"brokerctl run --env {variable}=openai/dev -- bash job.sh")
    assert (done.status, done.stdout) == (2, "")
    home.script("broker.toml", f'{variable} = "openai/dev"\n')
    done = home.run("brokerctl allow")
    assert done.status == 2
    assert variable in done.stderr
    home.trust()
