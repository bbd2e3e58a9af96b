"""Where do the socket, the configuration and the state stand?

XDG Base Directory Specification 0.8. Everything follows from HOME and the XDG variables, so a
second account, or a test, isolates itself by setting them.
"""

from __future__ import annotations

import os

APP = "brokerctl"
PROJECT_FILE = "broker.toml"
SOCKET_VARIABLE = "BROKER_SOCKET"
SESSION_VARIABLE = "BROKER_SESSION"


def config_dir() -> str:
    """Return the folder of config.toml and policy.toml."""
    return os.path.join(_xdg("XDG_CONFIG_HOME", ".config"), APP)


def state_dir() -> str:
    """Return the folder of the sealed store, the audit log, the journal and the daemon's log."""
    return os.path.join(_xdg("XDG_STATE_HOME", ".local/state"), APP)


def runtime_dir() -> str:
    """Return the folder of the socket and the daemon's lock.

    Without XDG_RUNTIME_DIR (cron, sudo, a bare container) it is a folder in the state
    directory, never one in /tmp: there, another user could have made it first.
    """
    base = os.environ.get("XDG_RUNTIME_DIR", "")
    return os.path.join(base, APP) if os.path.isabs(base) else os.path.join(state_dir(), "run")


def socket_path() -> str:
    """Return the socket's path.

    `brokerctl run` passes it on as BROKER_SOCKET, so that an app that sets another HOME still
    finds its daemon. Pointing an app elsewhere gains nothing: keys come out of that socket, and
    only names go in. `brokerctl secret set` sends a key in; who can set its environment can as
    well replace `brokerctl` itself.
    """
    return os.environ.get(SOCKET_VARIABLE) or os.path.join(runtime_dir(), "broker.sock")


def _xdg(variable: str, default: str) -> str:
    """Return an XDG base folder; a relative value is to be ignored, says the specification."""
    value = os.environ.get(variable, "")
    return value if os.path.isabs(value) else os.path.join(os.path.expanduser("~"), default)
