"""`brokerctl audit` and `brokerctl audit verify`, over a real log."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from brokerd.audit.line import AuditHead
from brokerd.audit.log import AuditLog
from tests.brokerctl.conftest import CommandLine


@pytest.fixture
def head(cli: CommandLine) -> AuditHead:
    """Write three events, and return where the log ends."""
    log = AuditLog(str(cli.state / "audit"))
    log.append("daemon.started", pid=7)
    log.append("lease.acquired", secret="openai/dev", lease="l1", folder="/a\x1b[2J", script=None)
    end = log.append("lease.ended", secret="groq/dev", lease="l2")
    log.close()
    return end


def log_file(cli: CommandLine) -> Path:
    return cli.state / "audit" / "audit-000001.jsonl"


@pytest.mark.usefixtures("head")
def test_events_come_newest_last_and_escaped(cli: CommandLine) -> None:
    lines = cli.run("audit").stdout.splitlines()
    assert [line.split()[1] for line in lines] == [
        "daemon.started",
        "lease.acquired",
        "lease.ended",
    ]
    assert lines[1].split(" ", 2)[2] == r"secret=openai/dev lease=l1 folder=/a\x1b[2J"


@pytest.mark.usefixtures("head")
@pytest.mark.parametrize(
    ("args", "seqs"),
    [
        (["-n", "2"], [2, 3]),
        (["--secret", "openai/dev"], [2]),
        (["--lease", "l2"], [3]),
        (["--lease", "l2", "--secret", "openai/dev"], []),
        (["--secret", "openai/dev", "-n", "1"], [2]),
    ],
)
def test_events_can_be_chosen(cli: CommandLine, args: list[str], seqs: list[int]) -> None:
    shown = json.loads(cli.run("audit", "--json", *args).stdout)
    assert [event["seq"] for event in shown] == seqs


@pytest.mark.usefixtures("head")
def test_json_holds_the_chain(cli: CommandLine) -> None:
    event = json.loads(cli.run("audit", "--json", "-n", "1").stdout)[0]
    assert {"seq", "time", "event", "prev", "hash", "secret", "lease"} == set(event)


def test_no_log_yet(cli: CommandLine) -> None:
    done = cli.run("audit")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "brokerctl: no such events\n")
    assert cli.run("audit", "--json").stdout == "[]\n"


def test_a_whole_log(cli: CommandLine, head: AuditHead) -> None:
    done = cli.run("audit", "verify")
    assert done.returncode == 0
    assert done.stdout == f"whole: 3 events in 1 file\nits end is 3:{head.hash}\n"
    shown = json.loads(cli.run("audit", "verify", "--json").stdout)
    assert shown == {"files": 1, "events": 3, "seq": 3, "hash": head.hash, "problems": []}


@pytest.mark.usefixtures("head")
def test_an_edited_line_ends_with_1_and_is_named(cli: CommandLine) -> None:
    path = log_file(cli)
    path.write_text(path.read_text().replace("openai/dev", "openai/dex"))
    done = cli.run("audit", "verify")
    assert done.returncode == 1
    assert "audit-000001.jsonl line 2: edited" in done.stdout
    assert "NOT WHOLE" in done.stdout
    as_json = cli.run("audit", "verify", "--json")
    assert as_json.returncode == 1
    assert json.loads(as_json.stdout)["problems"][0]["line"] == 2


def cut(cli: CommandLine, lines: int) -> None:
    """Cut the log and its anchor back, as someone who knows how it works would."""
    path = log_file(cli)
    kept = path.read_text().splitlines(keepends=True)[:lines]
    path.write_text("".join(kept))
    (cli.state / "audit" / "head").unlink()


def test_a_cut_is_found_by_a_head_that_was_noted_down(cli: CommandLine, head: AuditHead) -> None:
    assert cli.run("audit", "verify", "--head", f"3:{head.hash}").returncode == 0
    cut(cli, 2)
    done = cli.run("audit", "verify", "--head", f"3:{head.hash}")
    assert done.returncode == 1


def test_a_cut_is_found_by_the_running_daemon(cli: CommandLine, head: AuditHead) -> None:
    fake = cli.daemon({"audit.head": {"seq": 3, "hash": head.hash}})
    assert cli.run("audit", "verify").returncode == 0
    cut(cli, 2)
    assert cli.run("audit", "verify").returncode == 1
    assert len(fake.params("audit.head")) == 2


def test_the_daemons_head_counts_besides_a_noted_one(cli: CommandLine, head: AuditHead) -> None:
    first = json.loads(log_file(cli).read_text().splitlines()[0])
    cli.daemon({"audit.head": {"seq": 3, "hash": head.hash}})
    cut(cli, 2)
    assert cli.run("audit", "verify", "--head", f"1:{first['hash']}").returncode == 1


@pytest.mark.parametrize(
    "text", ["", "3", "3:", "x:" + "0" * 64, "3:" + "0" * 63, "-3:" + "0" * 64]
)
def test_a_bad_head_is_refused(cli: CommandLine, text: str) -> None:
    assert cli.run("audit", "verify", "--head", text).returncode == 2


@pytest.mark.usefixtures("head")
def test_a_loose_log_is_not_read(cli: CommandLine) -> None:
    log_file(cli).chmod(0o644)
    done = cli.run("audit")
    assert done.returncode == 6
    assert done.stderr.startswith("brokerctl: error: ")


def test_a_torn_last_line_is_found_with_a_noted_head_too(cli: CommandLine, head: AuditHead) -> None:
    with log_file(cli).open("ab") as file:
        file.write(b'{"seq":4')
    done = cli.run("audit", "verify", "--head", f"3:{head.hash}")
    assert done.returncode == 1
    assert "torn" in done.stdout


def test_verify_says_where_no_log_ever_was(cli: CommandLine) -> None:
    done = cli.run("audit", "verify")
    assert done.returncode == 4
    assert "there is no audit log" in done.stderr
    noted = cli.run("audit", "verify", "--head", f"1:{'0' * 64}")
    assert noted.returncode == 1
