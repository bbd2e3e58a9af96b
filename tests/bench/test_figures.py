"""Does a figure say plainly whether it is what it is to be?"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from bench.figures import Figure, high, middle


def test_a_figure_at_its_target_has_reached_it() -> None:
    assert Figure("start", 5.0, "ms", 5.0).reached is True
    assert Figure("start", 5.1, "ms", 5.0).reached is False
    assert Figure("start", 5.1, "ms").reached is None


_DIFFERENCES = {
    "the boot folder, at interpreter start",
    "shim, of each `litellm.completion`",
    "shim, of each call of httpx",
}
"""What one measurement has more than another; on a busy machine, noise may make it less."""


def test_a_person_sees_what_was_missed() -> None:
    line = Figure("lease", 4.26, "x", 4.0, "note").line()
    assert line.split("  ")[0] == "lease"
    assert "4.26 x" in line
    assert "at most 4.00 x" in line
    assert "NOT REACHED" in line
    assert "REACHED" not in Figure("lease", 4.26, "x").line()


def test_a_program_sees_the_same() -> None:
    assert Figure("idle", 34.61, "MB", 40.0).as_json() == {
        "name": "idle",
        "value": 34.61,
        "unit": "MB",
        "target": 40.0,
        "note": "",
        "reached": True,
    }


def test_the_middle_and_the_high_end() -> None:
    samples = [float(each) for each in range(1, 1001)]
    assert middle(samples) == 500.5
    assert high(samples) == pytest.approx(990, abs=1)


@pytest.mark.slow
@pytest.mark.timeout(600)  # a busy machine takes minutes for all of it
def test_it_measures_everything_and_fails_at_no_figure() -> None:
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-m", "bench", "--json"],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)["figures"]
    assert [each["name"] for each in figures if each["target"] is not None] == [
        "daemon's memory, idle",
        "lease, to ssh-agent's list",
        "`brokerctl run`, to `dotenv run`",
        "the boot folder, at interpreter start",
        "shim, of each `litellm.completion`",
        "shim, of each call of httpx",
        "fifty at once: exchanges",
        "fifty at once, to the vendor's SDK",
        "a hundred at once: reads in Vault",
        "lease of Vault's key, to `bao proxy`",
        "`brokerctl run`, to `bao agent`",
        "daemon's memory, to `bao agent`",
        "a hundred at once: reads at AWS",
        "a hundred at once, to boto3",
        "lease of a key of AWS, to boto3",
        "a day, to each asking as often",
    ]
    values = {each["name"]: each["value"] for each in figures}
    assert values["fifty at once: exchanges"] == 1
    assert values["a hundred at once: reads in Vault"] == 1
    assert values["a hundred at once: reads at AWS"] == 1
    assert values.pop("revoked, to its last use") >= 0
    assert [name for name, value in values.items() if value <= 0 and name not in _DIFFERENCES] == []
