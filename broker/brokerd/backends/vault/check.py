"""What does the server allow our token, and what of that is missing, or too much?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from brokerd.backends.base import Finding
from brokerd.backends.vault.capabilities import ROOT, allowed, lacking, rule
from brokerd.backends.vault.dynamic import RENEW, REVOKE, REVOKE_ACCESSOR
from brokerd.backends.vault.mounts import Mounts
from brokerd.backends.vault.session import Session
from brokerd.backends.vault.terms import DynamicTerms, KvTerms, Terms
from brokershim.errors import BackendRefused, SecretNotFound

_OWN = ("auth/token/renew-self", "auth/token/revoke-self")
_AS_GOOD = {"update": "create"}
"""What an engine may ask for in the place of the other, and is no more."""


@dataclass(frozen=True)
class _Need:
    """What is needed at one path.

    Attributes:
        subject: The secret that needs it; empty for the login itself.
        path: Where.
        capability: What is needed.
    """

    subject: str
    path: str
    capability: str


class Checks:
    """Looks at what a token may do. It reads no secret.

    Args:
        session: Asks the server.
        mounts: Knows the KV engines.
        terms: The configured secrets.
    """

    def __init__(self, session: Session, mounts: Mounts, terms: Sequence[Terms]) -> None:
        self._session, self._mounts, self._terms = session, mounts, terms

    def make(self) -> list[Finding]:
        """Return what is allowed for each secret, and for the login; raises as `Session.call`."""
        needs: list[_Need] = []
        findings: list[Finding] = []
        for terms in self._terms:
            try:
                needs += self._of(terms)
            except (BackendRefused, SecretNotFound) as error:
                findings.append(_nowhere(terms, error))
        needs += self._of_the_login()
        paths = [each.path for each in needs]
        found = self._session.call(partial(allowed, paths=paths), "asking what the token may do")
        return [*findings, *(_finding(each, found[each.path]) for each in needs)]

    def _of(self, terms: Terms) -> Iterator[_Need]:
        name = terms.secret.name
        if isinstance(terms, DynamicTerms):
            yield _Need(name, terms.path, "update" if terms.method == "write" else "read")
        elif self._mounts.keeps_versions(terms.mount):
            yield _Need(name, f"{terms.mount}/data/{terms.path}", "read")
            yield _Need(name, f"{terms.mount}/metadata/{terms.path}", "read")
        else:
            yield _Need(name, terms.place, "read")

    def _of_the_login(self) -> Iterator[_Need]:
        # One that cannot be ended cannot be renewed either (a batch token), or is not ours to.
        accessor = self._session.risk()
        paths = [] if accessor is None else [*_OWN]
        if any(isinstance(each, DynamicTerms) for each in self._terms):
            paths += [REVOKE, RENEW]
            paths += [] if accessor is None else [REVOKE_ACCESSOR]
        return (_Need("", path, "update") for path in paths)


def _finding(need: _Need, found: frozenset[str]) -> Finding:
    lacks = lacking(found, [need.capability])
    fitting = {need.capability, _AS_GOOD.get(need.capability)}
    beyond = tuple(sorted(found - fitting))
    return Finding(
        need.subject, need.path, tuple(sorted(found)), lacks, beyond, _hint(need, lacks, beyond)
    )


def _hint(need: _Need, lacks: tuple[str, ...], beyond: tuple[str, ...]) -> str:
    if lacks:
        return f"add to the policy of its role: {rule(need.path, lacks)}"
    if ROOT in beyond:
        return "it may do everything there is: log in with a role that has a policy of its own"
    if beyond:
        return f"enough is: {rule(need.path, [need.capability])}"
    return ""


def _nowhere(terms: Terms, error: BackendRefused | SecretNotFound) -> Finding:
    """Return the finding for a secret of which not even the paths are known."""
    if isinstance(terms, KvTerms) and isinstance(error, BackendRefused):
        data = f"{terms.mount}/data/{terms.path}"
        hint = f"add to the policy of its role: {rule(data, ['read'])} (KV 1: without /data)"
        return Finding(terms.secret.name, terms.place, lacks=("read",), hint=hint)
    return Finding(terms.secret.name, terms.path, lacks=("read",), hint=error.hint)
