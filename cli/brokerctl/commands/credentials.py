"""`brokerctl credentials`: credentials of AWS for tools that know nothing of references.

As ``credential_process`` of a profile in ~/.aws/config (AWS CLI User Guide, "Sourcing credentials
with an external process"): whoever runs it reads the credentials from a pipe, and keeps them.
"""

from __future__ import annotations

import os
import resource
import socket
import stat
import sys

import click

from brokerctl.autostart import connect_or_start
from brokerctl.opening import open_session
from brokerctl.options import SECRET
from brokerctl.replies import field
from brokerd.signing import ACCESS_KEY
from brokershim.awskeys import keys_of
from brokershim.errors import UsageError

_STDOUT = 1
_WHO = "A program that runs `brokerctl credentials`, and keeps what it gets until that dies,"


@click.command()
@click.argument("name", type=SECRET)
def credentials(name: str) -> None:
    """Print credentials of AWS, in a session of this command's own, for the tool that runs it.

    \b
    In ~/.aws/config:
        [profile bedrock]
        credential_process = brokerctl credentials bedrock/dev

    A [[grant]] in policy.toml says in which folders it may be run; where there is none, it asks in
    the terminal. It writes to a pipe only: not to a terminal, and to no file.
    """  # noqa: D301 - click reads the character, not the two letters
    _check_that_it_is_a_pipe()
    script = os.path.abspath(sys.argv[0])
    open_session({"program": sys.executable, "script": script, "env": {ACCESS_KEY: name}}, _WHO)
    client = connect_or_start()
    # From here on a core dump, as of Ctrl-\, would hold them.
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    reply = client.call("lease.acquire", secret=name)
    value = field(reply, "value", str)
    keys_of(name, value)  # or it is some other key, which this prints for nobody
    click.echo(value)


def _check_that_it_is_a_pipe() -> None:
    """Refuse an output that keeps what it is given, shows it, or sends it on; raises `UsageError`.

    A socket of this machine is a pipe: Node.js gives those to what it runs.
    """
    if not _is_a_pipe():
        raise UsageError(
            "credentials are written to a pipe only",
            hint="name this command as `credential_process` in ~/.aws/config; for an app of your "
            "own, `brokerctl run` gives it none",
        )


def _is_a_pipe() -> bool:
    try:
        mode = os.fstat(_STDOUT).st_mode
    except OSError:  # it is closed
        return False
    if not stat.S_ISSOCK(mode):
        return stat.S_ISFIFO(mode)
    with socket.socket(fileno=os.dup(_STDOUT)) as it:
        return it.family == socket.AF_UNIX
