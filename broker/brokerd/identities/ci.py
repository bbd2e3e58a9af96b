"""How does the job of a CI become an identity? As the package `id` finds it.

GitHub Actions, GitLab CI, Buildkite, CircleCI and Google Cloud say in the environment of a job,
or to a tool of theirs, which job it is.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Hashable

import urllib3

from brokerd.ambient import Ci, found_in, gives_nothing
from brokerd.identities import apart
from brokerd.identities.base import Identity, Standing, Token
from brokerd.identities.jwt import CLOCKS, Clocks, token_of
from brokerd.identities.reasons import reason_of
from brokerd.table import Table
from brokershim.errors import ClockSkew, IdentityExpired, IdentityUnavailable

_STANDING = "GitLab CI"
"""The one that makes its tokens when the job starts, and not when they are asked for."""
_NO_JOB = "this is no job of a CI that says who it is"
_NO_JOB_HINT = (
    "start the daemon inside the job: `brokerctl daemon stop` ends one that is older than the job"
)
_GOOGLE = Ci("Google Cloud", "", re.compile("(?!)"), re.compile("(?!)"), "see its service account")
_PRODUCT = "/sys/class/dmi/id/product_name"
# Behind these words, `id` repeats what a server or a tool said, which may be a token.
_REPEATED = re.compile(r", body=|(?<=encountered an error):| \(expected")


def build(name: str, _: Table) -> Identity:
    """Return the identity that a table ``kind = "ci"`` describes; it has no other key."""
    return CiJob(name)


def ask(audience: str) -> str:
    """Return the job's token for an audience, as `id` gets it; for the process apart.

    Raises:
        IdentityUnavailable: This is no such job, or its CI gives it no token.
    """
    import id as ambient

    try:
        token = ambient.detect_credential(audience)
    except ambient.AmbientCredentialError as error:
        raise _refusal(_said(str(error))) from None
    except (urllib3.exceptions.HTTPError, ValueError, OSError) as error:
        # What `id` lets through: their texts repeat URLs and answers.
        raise _refusal(type(error).__name__) from None
    if token is None:
        raise _no_job()
    return token


def _said(message: str) -> str:
    """Return what `id` itself says: "GitHub: request failed (code=403, body=…" without the body."""
    reason = _REPEATED.split(message)[0]
    reason = reason.partition(": ")[2] or reason
    return reason + ")" if "(" in reason and ")" not in reason else reason


def _refusal(reason: str) -> IdentityUnavailable:
    ci = _ci()
    if ci is None:
        return IdentityUnavailable(f"no token: {reason}")
    return IdentityUnavailable(f"{ci.title} gives no token: {reason}", hint=ci.advice)


def _no_job() -> IdentityUnavailable:
    return IdentityUnavailable(_NO_JOB, hint=_NO_JOB_HINT)


class CiJob:
    """The job that the daemon was started in.

    Args:
        name: The identity's name.
        clocks: What time it is.
    """

    kind = "ci"

    def __init__(self, name: str, clocks: Clocks = CLOCKS) -> None:
        self.name = name
        self._clocks = clocks
        self._subject = ""

    def revision(self) -> Hashable:
        """Return a constant: the job does not change while the daemon runs."""
        return None

    def token(self, audience: str | None) -> Token:
        """Return a token of the job; see `Identity.token`. It needs an audience."""
        ci = _ci()
        if ci is None:
            raise _no_job()
        if audience is None:
            raise IdentityUnavailable(
                f"{self.name} needs to be told an audience", hint="set `audience` in config.toml"
            )
        found = self._checked(ci, apart.ask("ci", {"audience": audience}, ci.title), audience)
        self._subject = found.subject
        return found

    def _checked(self, ci: Ci, text: str, audience: str) -> Token:
        source = f"the token of {ci.title}"
        try:
            return token_of(text, source, audience, self._clocks)
        except IdentityExpired as error:
            if ci.title == _STANDING:
                raise
            raise ClockSkew(f"{error.message}, and it was made just now") from None

    def standing(self) -> Standing:
        """Return in which CI this is, and as whom a token named the job before."""
        ci = _ci()
        if ci is None:
            return Standing("absent", reason=reason_of(_no_job()))
        if gives_nothing(ci, os.environ):
            return Standing("failed", ci.title, reason=f"{ci.title} gives no token: {ci.advice}")
        return Standing("ready", issuer=ci.title, subject=self._subject)


def _ci() -> Ci | None:
    """Return where a job runs; a machine of Google's says so in its firmware (as `id` looks)."""
    found = found_in(os.environ)
    if found is None:
        with contextlib.suppress(OSError), open(_PRODUCT) as file:
            if file.read(64).strip() in {"Google", "Google Compute Engine"}:
                return _GOOGLE
    return found
