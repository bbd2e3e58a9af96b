"""What environment does the program get that `brokerctl run` starts? (Pure.)

References in the place of keys, and nothing that holds a key, shadows a reference, loads foreign
code into the session, or lets the program pass for the CI job that it runs in.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Container, Mapping
from typing import NamedTuple

from brokerctl.keys import is_real_key, is_stale, shadows
from brokerd.ambient import proves_identity
from brokerd.foreign import loads_foreign_code
from brokershim.paths import SESSION_VARIABLE, SOCKET_VARIABLE
from brokershim.reference import REFERENCE, reference

_RUST = "LITELLM_RUST"
_PATH = "PYTHONPATH"


class Session(NamedTuple):
    """What the child is told of its session.

    Attributes:
        label: The session's label.
        socket: The daemon's socket, absolute.
        boot: The folder whose sitecustomize loads the shim; None to leave PYTHONPATH alone.
    """

    label: str
    socket: str
    boot: str | None


def child_environment(
    environ: Mapping[str, str],
    references: Mapping[str, str],
    keep: Collection[str],
    session: Session,
) -> tuple[dict[str, str], list[str]]:
    """Return the child's environment, and one line for each thing the user should know of it.

    Args:
        environ: Our own environment.
        references: Variable -> name of the secret that it refers to.
        keep: Variables that are passed on although a rule would take them out. A variable
            that is to hold a reference holds it nevertheless.
        session: What the child is told of its session.
    """
    ours = _ours(environ, session)
    staying = {*references, *ours, *keep}
    others = {name: value for name, value in environ.items() if name not in staying}
    reasons = _reasons(others, references, proves_identity(environ))
    child = {name: value for name, value in environ.items() if name not in reasons}
    child.update({name: reference(secret) for name, secret in references.items()})
    child.update(ours)
    return child, [*_taken_out(reasons), *_overridden(environ, references, keep)]


def _reasons(
    environ: Mapping[str, str], references: Mapping[str, str], proving: Container[str]
) -> dict[str, str]:
    """Return the variables that are taken out, each with the reason."""
    granted = set(references.values())
    shadowing = shadows(references)
    reasons: dict[str, str] = {}
    for name, value in environ.items():
        if is_real_key(name, value):
            reasons[name] = "real key"
        elif is_stale(value, granted):
            reasons[name] = "stale reference"
        elif name in shadowing and not REFERENCE.fullmatch(value):
            reasons[name] = "shadows a reference"
        elif loads_foreign_code(name):
            reasons[name] = "loads foreign code"
        elif name in proving:
            reasons[name] = "proves the job's identity"
    return reasons


def _ours(environ: Mapping[str, str], session: Session) -> dict[str, str]:
    # LITELLM_RUST: LiteLLM's native code would send requests past the shim.
    ours = {SESSION_VARIABLE: session.label, SOCKET_VARIABLE: session.socket, _RUST: "0"}
    if session.boot is not None:
        ours[_PATH] = _python_path(environ.get(_PATH, ""), session.boot)
    return ours


def _python_path(existing: str, boot: str) -> str:
    """Put the boot folder first, and there only: an outer `brokerctl run` put it there too."""
    rest = [each for each in existing.split(os.pathsep) if each != boot] if existing else []
    return os.pathsep.join([boot, *rest])


def _taken_out(reasons: Mapping[str, str]) -> list[str]:
    if not reasons:
        return []
    names = ", ".join(f"{name} ({reason})" for name, reason in sorted(reasons.items()))
    return [f"taken out of the environment: {names}; `--keep NAME` keeps one"]


def _overridden(
    environ: Mapping[str, str], references: Mapping[str, str], keep: Collection[str]
) -> list[str]:
    notices = [
        f"--keep {name} is of no effect: it refers to {references[name]}"
        for name in keep
        if name in references
    ]
    if environ.get(_RUST, "0") != "0":
        notices.append(f"{_RUST} is set to 0: native code would bypass the shim")
    return notices
