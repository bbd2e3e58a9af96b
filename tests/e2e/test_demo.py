"""Does the demo show what it says, and leave nothing behind, also when it is interrupted?"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from demo import proof
from demo.forms import Needles
from demo.home import Home
from demo.provider import Provider
from tests.e2e.session import eventually

HERE = Path(__file__).parents[2]


def start(temporary: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "demo"],
        cwd=HERE,
        env={"PATH": os.environ["PATH"], "TMPDIR": str(temporary)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def names_of(temporary: Path) -> list[str]:
    """Return the command lines of processes that have to do with a folder."""
    found = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True)
    return [line for line in found.stdout.splitlines() if str(temporary) in line]


def test_it_plays_to_its_end_and_finds_no_key(tmp_path: Path) -> None:
    with start(tmp_path) as demo:
        shown, _ = demo.communicate(timeout=110)
    assert demo.returncode == 0, shown
    for line in (
        r"OpenAI +Hello from openai, your key no. 1 is good.",
        r"OpenAI, async +Hello from openai, your key no. 2 is good.",
        r"Anthropic, stream +Hello from anthropic, your key no. 1 is good.",
        r"a refusal .*Incorrect API key provided: brokerref:openai/dev",
        r"environment of every process .* clean",
        r"brokerref:openai/dev, the same way +found in [1-9]",
        r"command line of every process .* clean",
        r"LiteLLM's debug log +2 files +clean",
        r"every file that was written +[0-9]+ files +clean",
        r"a decoy, planted on purpose +4 places +all found: the search works",
        r"No key was anywhere\.$",
    ):
        assert re.search(line, shown), line
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_it_ends_everything_that_it_started(
    tmp_path: Path, number: signal.Signals
) -> None:
    with start(tmp_path) as demo:
        assert demo.stdout is not None
        for line in demo.stdout:
            if "brokerctl run" in line:
                break
        demo.send_signal(number)
        shown = demo.stdout.read()
    assert demo.returncode == 130
    assert "interrupted" in shown
    assert list(tmp_path.iterdir()) == []
    assert eventually(lambda: names_of(tmp_path) == [])


@pytest.mark.slow
def test_the_same_app_with_a_key_in_its_environment_leaks_it_everywhere(tmp_path: Path) -> None:
    """What the demo finds clean is not clean by itself."""
    home = Home(str(tmp_path))
    key = "sk-proj-" + os.urandom(20).hex()
    (tmp_path / "my-app" / "app.py").write_bytes((HERE / "demo" / "app.py").read_bytes())
    with Provider({"openai": key, "anthropic": key}) as provider:
        done = home.run(
            "sh -c 'python app.py 2> stderr.log'",
            env={
                "OPENAI_API_KEY": key,
                "ANTHROPIC_API_KEY": key,
                "OPENAI_BASE_URL": f"{provider.url}/v1",
                "ANTHROPIC_BASE_URL": provider.url,
            },
        )
    assert done.status == 0
    rows = proof.left(Needles([key]), home.root, home.project, home.printed)
    dirty = {row.place for row in rows if row.verdict.startswith("FOUND")}
    assert dirty >= {
        "what its callbacks were given",
        "its caches and clients",
        "its exceptions, printed and pickled",
        "every file that was written",
        "all that was printed",
    }
