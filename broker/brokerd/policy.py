"""Which session may lease which secret, for how long? (Pure.)

Deny by default: a policy without grants gives nothing. A grant says whom it is for in exactly
one way, and the way that means everybody is called unsafe.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase

from brokershim.errors import ApprovalRequired, NotGranted


class Approval(StrEnum):
    """Whether a person is asked."""

    NONE = "none"
    SESSION = "session"
    """Once for each session, in its terminal."""


@dataclass(frozen=True)
class Asker:
    """What the policy looks at in a session.

    Attributes:
        folder: The working folder that the kernel named when the session was opened.
        project: The folder of the broker.toml that it was opened with, or None.
    """

    folder: str
    project: str | None


@dataclass(frozen=True)
class Grant:
    """One rule.

    Attributes:
        secrets: Names, or patterns such as ``openai/*``.
        project: For sessions of this project folder, whose broker.toml is trusted.
        sha256: Which content of that broker.toml is trusted.
        folder: For sessions started in this folder or below.
        unsafe_any_session: For every session of this user.
        max_ttl: The longest lease, in seconds; None for the secret's own limit.
        approval: Whether a person is asked.
    """

    secrets: tuple[str, ...]
    project: str | None = None
    sha256: str | None = None
    folder: str | None = None
    unsafe_any_session: bool = False
    max_ttl: float | None = None
    approval: Approval = Approval.NONE

    def covers(self, asker: Asker, secret: str) -> bool:
        """Return whether this rule speaks of that session and that secret."""
        return self._is_for(asker) and any(fnmatchcase(secret, each) for each in self.secrets)

    def _is_for(self, asker: Asker) -> bool:
        if self.unsafe_any_session:
            return True
        if self.project is not None:
            return asker.project == self.project
        return self.folder is not None and _is_within(asker.folder, self.folder)


class Trust(StrEnum):
    """What is thought of a broker.toml."""

    NEW = "new"
    CHANGED = "changed"
    ALLOWED = "allowed"


@dataclass(frozen=True)
class Policy:
    """All grants, and the questions they answer."""

    grants: tuple[Grant, ...] = ()

    def max_ttl(self, asker: Asker, secret: str, approved: bool) -> float | None:
        """Return the longest lease that is granted, in seconds; None for the secret's own.

        Args:
            asker: The session.
            secret: The secret's name.
            approved: Whether a person has said yes for this session.

        Raises:
            ApprovalRequired: Granted, once a person says yes.
            NotGranted: No rule covers it.
        """
        rules = [each for each in self.grants if each.covers(asker, secret)]
        usable = [each for each in rules if approved or each.approval is Approval.NONE]
        if usable:
            return _longest(each.max_ttl for each in usable)
        if approved:  # asked without any rule: the person's yes is the rule
            return None
        if rules:
            raise ApprovalRequired(f"a person has to approve {secret} for this session")
        raise NotGranted(f"no grant lets this session lease {secret}")

    def trust(self, project: str, sha256: str) -> Trust:
        """Return whether a broker.toml of that folder and content is trusted."""
        known = {each.sha256 for each in self.grants if each.project == project}
        if sha256 in known:
            return Trust.ALLOWED
        return Trust.CHANGED if known else Trust.NEW


def _is_within(path: str, folder: str) -> bool:
    return os.path.isabs(path) and os.path.commonpath([path, folder]) == folder


def _longest(limits: Iterable[float | None]) -> float | None:
    found = list(limits)
    return None if None in found else max(each for each in found if each is not None)
