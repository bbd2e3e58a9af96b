"""`brokerctl doctor`: each thing that can be wrong is found, with what to do."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from brokerctl.checks import daemon, interpreter
from brokerctl.checks.check import Check
from brokerd.audit.log import AuditLog
from tests.brokerctl.conftest import CommandLine
from tests.brokerctl.test_secret import ROW
from tests.brokerctl.test_status import NO_IDENTITIES, STATUS

KEY = "sk-proj-" + "A1b2C3d4" * 4
WELL: dict[str, Any] = {
    "daemon.status": STATUS,
    "identity.list": NO_IDENTITIES,
    "backend.list": {"backends": [], "next": None},
    "audit.head": {"seq": 0, "hash": "0" * 64},
    "secret.list": {"secrets": [ROW], "next": None},
}


@pytest.fixture
def python3(cli: CommandLine) -> Path:
    """Put a python3 of the test's own first in the PATH: this one, without our packages."""
    path = cli.home / "bin" / "python3"
    path.parent.mkdir()
    path.symlink_to(Path(sys.executable).resolve())
    cli.env["PATH"] = f"{path.parent}:{cli.env['PATH']}"
    return path


def look(cli: CommandLine, status: int) -> dict[str, Check]:
    """Return what is found by name, the worst of each name; check the exit status."""
    done = cli.run("doctor", "--json")
    assert done.returncode == status, done.stdout + done.stderr
    found = [Check(**each) for each in json.loads(done.stdout)]
    order = ("ok", "warn", "fail")
    return {each.name: each for each in sorted(found, key=lambda each: order.index(each.state))}


@pytest.mark.usefixtures("python3")
def test_all_is_well(cli: CommandLine) -> None:
    cli.daemon(WELL)
    found = look(cli, 0)
    assert {each.state for each in found.values()} == {"ok"}, found
    assert found["daemon"].detail == "runs, version 0.1.0"
    assert found["shim"].detail.startswith("loads in ")


@pytest.mark.usefixtures("python3")
def test_without_a_daemon_it_does_what_it_can_and_starts_none(cli: CommandLine) -> None:
    found = look(cli, 0)
    assert found["daemon"].state == "warn"
    assert {"folder", "config", "policy", "environment", ".env", "shim"} <= set(found)
    assert not (cli.home / "run").exists()


@pytest.mark.usefixtures("python3")
def test_the_text_has_a_line_and_a_hint(cli: CommandLine) -> None:
    done = cli.run("doctor", env={"GROQ_API_KEY": "x"})
    assert "warn  environment: real keys in GROQ_API_KEY\n      store it with" in done.stdout
    assert "(credentials of AWS are leased instead: docs/aws.md)" in done.stdout


def test_a_loose_folder(cli: CommandLine) -> None:
    cli.state.chmod(0o755)
    found = look(cli, 1)
    assert found["folder"].state == "fail"
    assert "chmod 0700" in found["folder"].hint


def test_a_loose_socket_folder(cli: CommandLine) -> None:
    cli.daemon(WELL)
    (cli.home / "run" / "brokerctl").chmod(0o755)
    assert look(cli, 1)["daemon"].state == "fail"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("config.toml", "[store]\ncolour = 1\n"),
        ("config.toml", '[identity.me]\nkind = "file"\n'),
        ("config.toml", '[backend.corp]\nkind = "vault"\naddress = "https://v.example"\n'),
        ("policy.toml", "[[grant"),
    ],
)
def test_a_broken_setting_is_found_before_the_daemon_trips_over_it(
    cli: CommandLine, name: str, text: str
) -> None:
    folder = cli.home / ".config" / "brokerctl"
    folder.mkdir(parents=True, mode=0o700)
    (folder / name).write_text(text)
    (folder / name).chmod(0o600)
    found = look(cli, 1)
    assert name in found["settings"].detail


def test_another_version(cli: CommandLine) -> None:
    cli.daemon({**WELL, "daemon.status": {**STATUS, "version": "9.9"}})
    found = look(cli, 1)["daemon"]
    assert "9.9" in found.detail
    assert "daemon stop" in found.hint


@pytest.mark.parametrize(
    ("store", "state"),
    [
        ({"exists": False}, "ok"),
        ({"exists": True, "locked": True, "master_key": "passphrase"}, "warn"),
        ({"exists": True, "damaged": "torn"}, "fail"),
    ],
)
def test_the_store(store: dict[str, Any], state: str) -> None:
    class Client:
        def call(self, _: str) -> dict[str, Any]:
            return {**STATUS, "store": store}

    found = {each.name: each for each in daemon.daemon(Client())}  # type: ignore[arg-type]
    assert found["store"].state == state


def test_a_policy_that_the_daemon_cannot_read(cli: CommandLine) -> None:
    cli.daemon({**WELL, "daemon.status": {**STATUS, "policy": {"grants": 0, "error": "torn"}}})
    assert look(cli, 1)["policy"].detail == "nothing is granted: torn"


def test_a_damaged_audit_log(cli: CommandLine) -> None:
    log = AuditLog(str(cli.state / "audit"))
    log.append("daemon.started", pid=7)
    log.close()
    path = cli.state / "audit" / "audit-000001.jsonl"
    path.write_text(path.read_text().replace("started", "stopped"))
    found = look(cli, 1)["audit"]
    assert "audit-000001.jsonl line 1" in found.detail
    assert "audit verify" in found.hint


def test_keys_in_a_dotenv_are_named_and_not_shown(cli: CommandLine) -> None:
    (cli.folder / ".env").write_text(f"GROQ_API_KEY={KEY}\n")
    done = cli.run("doctor")
    assert f"warn  .env: {cli.folder}/.env holds what looks like keys: GROQ_API_KEY" in done.stdout
    assert KEY not in done.stdout + done.stderr


@pytest.mark.parametrize("state", ["allowed", "new", "changed"])
def test_the_project_and_its_secrets(cli: CommandLine, state: str) -> None:
    (cli.folder / "broker.toml").touch()
    env = {"OPENAI_API_KEY": "openai/dev", "B": "not/stored"}
    facts = {"path": "p", "sha256": "s", "env": env, "state": state}
    cli.daemon({**WELL, "project.show": facts})
    found = look(cli, 1)
    assert found["project"].state == ("ok" if state == "allowed" else "warn")
    assert found["secrets"].detail == "not/stored is in broker.toml and not stored"


def fake_python(path: Path, versions: dict[str, str], shim: bool = True, says: str = "") -> None:
    """Put a program in python3's place that answers the probe."""
    answer = json.dumps({"shim": shim, "versions": versions})
    path.unlink()
    path.write_text(f"#!/bin/sh\necho '{says}' >&2\necho '{answer}'\n")
    path.chmod(0o755)


@pytest.mark.parametrize(
    ("version", "state"),
    [("1.82.7", "fail"), ("1.82.8", "fail"), ("1.80.0", "warn"), ("1.92.2", "ok"), ("2.0", "ok"),
     ("1.106.2rc1", "ok")],
)  # fmt: skip
def test_litellm(cli: CommandLine, python3: Path, version: str, state: str) -> None:
    fake_python(python3, {"litellm": version, "httpx": "0.28.1"})
    found = {each.name: each for each in interpreter.python(cli.env)}
    assert found["litellm"].state == state
    assert found["httpx"].detail == "version 0.28.1"


def test_a_shim_that_does_not_load(cli: CommandLine, python3: Path) -> None:
    fake_python(python3, {}, shim=False)
    found = {each.name: each for each in interpreter.python(cli.env)}["shim"]
    assert found.state == "fail"
    assert "another sitecustomize" in found.hint


def test_a_real_python_that_ignores_the_environment(cli: CommandLine, python3: Path) -> None:
    real = python3.resolve()
    python3.unlink()
    python3.write_text(f'#!/bin/sh\nexec {real} -E "$@"\n')
    python3.chmod(0o755)
    assert {each.name: each for each in interpreter.python(cli.env)}["shim"].state == "fail"


def test_what_the_shim_says_it_cannot_do(cli: CommandLine, python3: Path) -> None:
    fake_python(python3, {}, says="brokershim: httpx has no _send_single_request")
    found = {each.name: each for each in interpreter.python(cli.env)}["shim"]
    assert (found.state, "httpx has no" in found.detail) == ("fail", True)


def test_a_python_that_does_not_run(cli: CommandLine, python3: Path) -> None:
    python3.unlink()
    python3.write_text("#!/bin/sh\nexit 3\n")
    python3.chmod(0o755)
    assert [each.state for each in interpreter.python(cli.env)] == ["fail"]
    assert [each.state for each in interpreter.python({"PATH": "/nowhere"})] == ["warn"]


def test_the_probe_runs_without_keys(cli: CommandLine, python3: Path) -> None:
    python3.unlink()
    python3.write_text(
        f'#!/bin/sh\nenv > {cli.home}/seen\necho \'{{"shim": true, "versions": {{}}}}\'\n'
    )
    python3.chmod(0o755)
    list(interpreter.python({**cli.env, "GROQ_API_KEY": KEY, "LD_PRELOAD": ""}))
    seen = (cli.home / "seen").read_text()
    assert "BROKER_SESSION=doctor" in seen
    assert KEY not in seen


_IDENTITY = {"name": "work", "kind": "oidc", "issuer": "", "subject": "", "until": None,
             "personal": True}  # fmt: skip


@pytest.mark.usefixtures("python3")
@pytest.mark.parametrize(
    ("state", "reason", "verdict", "hint"),
    [
        ("ready", "", "ok", ""),
        ("due", "the login is over in 5m", "warn", "log in with `brokerctl login work`"),
        ("login", "", "warn", "log in with `brokerctl login work`"),
        ("absent", "this is no job of a CI", "warn", ""),
        ("failed", "the file is loose", "fail", "see docs/identities.md"),
    ],
)
def test_an_identity(cli: CommandLine, state: str, reason: str, verdict: str, hint: str) -> None:
    row = {**_IDENTITY, "state": state, "reason": reason}
    cli.daemon({**WELL, "identity.list": {"identities": [row], "next": None}})
    found = look(cli, 1 if verdict == "fail" else 0)["identity work"]
    assert (found.state, found.hint) == (verdict, hint)
    assert reason in found.detail


@pytest.mark.usefixtures("python3")
@pytest.mark.parametrize("kind", ["aws", "vault"])
def test_the_login_to_a_backend_that_fails(cli: CommandLine, kind: str) -> None:
    row = {**_IDENTITY, "kind": kind, "state": "failed", "reason": "no keyring"}
    cli.daemon({**WELL, "identity.list": {"identities": [row], "next": None}})
    assert look(cli, 1)["identity work"].hint == f"see docs/{kind}.md"


@pytest.mark.usefixtures("python3")
@pytest.mark.parametrize(
    ("state", "reason", "verdict"),
    [("closed", "", "ok"), ("closed", "h is slow", "warn"), ("open", "h is slow", "warn")],
)
def test_a_backend(cli: CommandLine, state: str, reason: str, verdict: str) -> None:
    row = {"name": "corp", "state": state, "failures": 1, "retry_in": None, "reason": reason}
    cli.daemon({**WELL, "backend.list": {"backends": [row], "next": None}})
    found = look(cli, 0)["backend corp"]
    assert found.state == verdict
    assert reason in found.detail
    # Whether anything of it is served is not known here.
    served = "`brokerctl status` tells what of it is served meanwhile"
    assert found.hint == (served if reason else "")


@pytest.mark.usefixtures("python3")
@pytest.mark.parametrize(
    ("given", "reason", "verdict", "detail", "hint"),
    [
        (True, "", "ok", "not known to be away", ""),
        (
            False,
            "",
            "warn",
            "has no private key (PEM)",
            "give it that with `brokerctl backend enrol corp`",
        ),
        (None, "it is locked", "warn", "it is locked", "unlock the keyring, then look again"),
    ],
)
def test_a_backend_that_waits_for_what_it_logs_in_with(
    cli: CommandLine, given: bool | None, reason: str, verdict: str, detail: str, hint: str
) -> None:
    enrolment = {"wants": "private key (PEM)", "done": given, "reason": reason}
    row = {"name": "corp", "state": "closed", "reason": "", "enrolment": enrolment}
    cli.daemon({**WELL, "backend.list": {"backends": [row], "next": None}})
    found = look(cli, 0)["backend corp"]
    assert (found.state, found.detail, found.hint) == (verdict, detail, hint)


SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
IN_CLEAR = f"aws_access_key_id = AKIAIOSFODNN7EXAMPLE\naws_secret_access_key = {SECRET}\n"


@pytest.mark.usefixtures("python3")
def test_access_keys_of_aws_in_clear(cli: CommandLine) -> None:
    aws = cli.home / ".aws"
    aws.mkdir()
    dying = f"[dying]\n{IN_CLEAR}aws_session_token = t\n"
    (aws / "credentials").write_text(f"[default]\n{IN_CLEAR}[b]\n{IN_CLEAR}{dying}")
    (aws / "config").write_text("[profile plain]\nregion = eu-central-1\n")
    found = look(cli, 0)["aws"]
    assert found.state == "warn"
    assert found.detail.endswith(
        ".aws/credentials holds an access key in clear, of profile b, default"
    )
    assert "docs/aws.md" in found.hint
    shown = cli.run("doctor", env={"AWS_SECRET_ACCESS_KEY": SECRET}).stdout
    assert "real keys in AWS_SECRET_ACCESS_KEY" in shown
    assert SECRET not in shown
    (aws / "credentials").unlink()
    assert look(cli, 0)["aws"].state == "ok"
    (aws / "config").write_text(f"[profile c]\n{IN_CLEAR}")
    assert look(cli, 0)["aws"].detail.endswith(
        ".aws/config holds an access key in clear, of profile c"
    )
    (aws / "config").unlink()
    other = cli.home / "other"
    other.write_text(f"[profile dev]\n{IN_CLEAR}")
    found = of_aws(cli, AWS_CONFIG_FILE=str(other))
    assert (found.state, "of profile dev" in found.detail) == ("warn", True)


def of_aws(cli: CommandLine, **env: str) -> Check:
    """Return what is found of AWS in another environment."""
    found = json.loads(cli.run("doctor", "--json", env=env).stdout)
    (row,) = [each for each in found if each["name"] == "aws"]
    return Check(**row)


@pytest.mark.usefixtures("python3")
def test_a_file_of_aws_that_is_none_is_not_repeated(cli: CommandLine) -> None:
    (cli.home / ".aws").mkdir()
    (cli.home / ".aws" / "credentials").write_text(f"{SECRET}\n")
    found = look(cli, 1)["aws"]
    assert found.state == "fail"
    assert SECRET not in found.detail
