"""Who gets nothing: another user, and a process of the same user outside the session?"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.e2e.session import Session
from tests.e2e.transcript import like
from tests.support.require import require_root

# The interpreter is loaded before it gives up root: it may stand in root's own home.
CONNECT = """
import os, socket, sys
os.setgroups([]); os.setgid(65534); os.setuid(65534)
connection = socket.socket(socket.AF_UNIX)
connection.settimeout(10)
try:
    connection.connect(sys.argv[1])
except OSError as error:
    sys.exit(type(error).__name__)
print(connection.recv(65536).decode(), end="")
"""


def as_nobody(session: Session) -> subprocess.CompletedProcess[str]:
    """Connect as another user, who says nothing and waits for what the daemon says."""
    path = f"{session.root}/run/brokerctl/broker.sock"
    return subprocess.run(
        [sys.executable, "-I", "-c", CONNECT, path], capture_output=True, text=True, check=False
    )


def test_another_user_does_not_reach_the_socket(session: Session) -> None:
    require_root()
    assert as_nobody(session).stderr == "PermissionError\n"


def test_another_user_is_refused_before_the_first_byte(session: Session) -> None:
    require_root()
    path = Path(session.root, "run", "brokerctl", "broker.sock")
    modes = {each: each.stat().st_mode for each in [path, *path.parents]}
    before = {each: mode for each, mode in modes.items() if not mode & 0o001}
    try:
        for each, mode in before.items():
            each.chmod(mode | (0o666 if each == path else 0o001))
        done = as_nobody(session)
    finally:
        for each, mode in before.items():
            each.chmod(mode)
    assert '"kind":"denied.foreign_user"' in done.stdout, done
    assert session.events(event="request.refused")[-1]["kind"] == "denied.foreign_user"


def test_the_environment_of_a_session_is_worth_nothing_outside(session: Session) -> None:
    with session.starts(
        "import json, os\nprint(ask(), flush=True)\nprint(json.dumps(dict(os.environ)))\ninput()"
    ) as app:
        assert "is good" in app.says()
        copied = json.loads(app.says())
        assert copied["OPENAI_API_KEY"] == "brokerref:openai/dev"
        asked = len(session.provider.asked)
        done = session.run("python app.py", "\n", env=copied)
        assert like(
            done.stdout.splitlines()[0],
            "403 brokerctl: process … is outside session …: its ancestry does not reach process …",
        )
        assert len(session.provider.asked) == asked
    assert session.events(event="request.refused")[-1]["kind"] == "denied.orphan"


def test_after_its_end_a_sessions_label_is_worth_nothing_at_all(session: Session) -> None:
    done = session.app("import os; print(os.environ['BROKER_SESSION'], os.environ['PYTHONPATH'])")
    label, path = done.stdout.split()
    done = session.run(
        "python -c 'from ask import ask; print(ask())'",
        env={
            "BROKER_SESSION": label,
            "PYTHONPATH": path,
            "OPENAI_API_KEY": "brokerref:openai/dev",
        },
    )
    assert like(done.stdout, "403 brokerctl: session … has ended, or the daemon was restarted …")


def test_a_program_without_brokerctl_run_sends_only_the_reference(session: Session) -> None:
    done = session.run(
        "python -c 'from ask import ask; print(ask())'",
        env={"OPENAI_API_KEY": "brokerref:openai/dev"},
    )
    assert done.stdout == "401 Incorrect API key provided: brokerref:openai/dev\n"
    assert session.provider.asked[-1].key == "brokerref:openai/dev"


def test_a_session_gets_the_secrets_that_it_was_opened_for_and_no_other(session: Session) -> None:
    session.store("openai/other")
    done = session.app(
        """
        import os
        os.environ["OPENAI_API_KEY"] = "brokerref:openai/other"
        print(ask())
        """
    )
    assert like(done.stdout, "403 brokerctl: session … was not opened for openai/other (…)")
