"""What does the server allow our token, and what of that is missing, or too much?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from brokerd.backends.people import Finding
from brokerd.backends.vault.capabilities import ROOT, allowed, lacking, rule
from brokerd.backends.vault.dynamic import LOOK_UP, RENEW, REVOKE, REVOKE_ACCESSOR
from brokerd.backends.vault.mounts import Mounts
from brokerd.backends.vault.session import Session
from brokerd.backends.vault.terms import DynamicTerms, KvTerms, Terms
from brokershim.errors import BackendRefused, SecretNotFound

_LIST = "list"
_OWN = ("auth/token/renew-self", "auth/token/revoke-self")
_AS_GOOD = {"update": "create"}
"""What an engine may ask for in the place of the other, and is no more."""
_METHODS = {
    "read": ("update", 'set `method = "write"` in its table in config.toml, or let it read there'),
    "update": ("read", 'take `method = "write"` out of its table in config.toml, or let it update'),
}
"""By what a key is made with: what may be allowed in its place, and what to do then."""
_UNENDED = Finding(
    "",
    REVOKE_ACCESSOR,
    hint="of no use here: with a batch token, or one that you gave, nothing but its own lease ends "
    "a key whose answer is lost; a role with token_type=service mends it",
)


@dataclass(frozen=True)
class _Need:
    """What is needed at one path.

    Attributes:
        subject: The secret that needs it; empty for the login itself.
        path: Where.
        capability: What is needed; None for a folder, where nothing is.
        slip: What to do first where it lacks; empty where that is nothing.
        makes: Whether a key is made there, in one of two ways.
    """

    subject: str
    path: str
    capability: str | None
    slip: str = ""
    makes: bool = False


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
        # First: a login that is refused is not the lack of each secret.
        accessor = self._session.risk()
        login = self._of_the_login(accessor)
        needs: list[_Need] = []
        findings: list[Finding] = []
        for terms in self._terms:
            if isinstance(terms, DynamicTerms):
                needs.append(_of_dynamic(terms))
                continue
            try:
                needs += self._of_static(terms)
            except (BackendRefused, SecretNotFound) as error:
                findings.append(_nowhere(terms, error))
        needs += login
        paths = [each.path for each in needs]
        found = self._session.call(partial(allowed, paths=paths), "asking what the token may do")
        asked = (_finding(each, found[each.path]) for each in needs)
        window = [_UNENDED] if accessor is None and self._makes_keys() else []
        return [*findings, *(each for each in asked if each is not None), *window]

    def _of_static(self, terms: KvTerms) -> list[_Need]:
        name, mount = terms.secret.name, terms.mount
        paths = [terms.place]
        if self._mounts.keeps_versions(mount):
            paths = [f"{mount}/{part}/{terms.path}" for part in ("data", "metadata")]
        folder = paths[-1].rpartition("/")[0] + "/"
        needs = [_Need(name, path, "read", terms.slip) for path in paths]
        return [*needs, _Need(name, folder, None)]

    def _of_the_login(self, accessor: str | None) -> list[_Need]:
        # One that has none cannot be ended, or is not ours to end.
        paths = [] if accessor is None else [*_OWN]
        if self._makes_keys():
            paths += [REVOKE, RENEW, LOOK_UP]
            paths += [] if accessor is None else [REVOKE_ACCESSOR]
        return [_Need("", path, "update") for path in paths]

    def _makes_keys(self) -> bool:
        return any(isinstance(each, DynamicTerms) for each in self._terms)


def _of_dynamic(terms: DynamicTerms) -> _Need:
    needed = "update" if terms.method == "write" else "read"
    return _Need(terms.secret.name, terms.path, needed, makes=True)


def _finding(need: _Need, found: frozenset[str]) -> Finding | None:
    """Return what is to be said of a path; None where that is nothing."""
    if need.capability is None:
        return _of_a_folder(need, found)
    lacks = lacking(found, [need.capability])
    fitting = {need.capability, _AS_GOOD.get(need.capability)}
    beyond = tuple(sorted(found - fitting))
    slip = _method(need.capability, found) if need.makes else need.slip
    hint = (slip if lacks else "") or _hint(need.path, need.capability, lacks, beyond)
    return Finding(need.subject, need.path, tuple(sorted(found)), lacks, beyond, hint)


def _method(needed: str, found: frozenset[str]) -> str:
    """Return what to do where the table means the one way, and the role the other."""
    other, hint = _METHODS[needed]
    return hint if other in found else ""


def _of_a_folder(need: _Need, found: frozenset[str]) -> Finding | None:
    """Return a finding where the names of all that is beside a secret can be listed."""
    if _LIST not in found:
        return None
    hint = f'take "{_LIST}" out of its policy there: keys are asked for by their paths'
    return Finding(need.subject, need.path, tuple(sorted(found)), (), (_LIST,), hint)


def _hint(path: str, needed: str, lacks: tuple[str, ...], beyond: tuple[str, ...]) -> str:
    if lacks:
        return f"add to the policy of its role: {rule(path, lacks)}"
    if ROOT in beyond:
        return "it may do everything there is: log in with a role that has a policy of its own"
    if beyond:
        return f"enough is: {rule(path, [needed])}"
    return ""


def _nowhere(terms: KvTerms, error: BackendRefused | SecretNotFound) -> Finding:
    """Return the finding for a secret in a mount that cannot be seen, or is none of its kind."""
    hint = error.hint
    if isinstance(error, BackendRefused):
        data = rule(f"{terms.mount}/data/{terms.path}", ["read"])
        hint = (
            f"if {terms.mount} is its mount, add to the policy of its role: {data} "
            "(without data/ where it is KV 1)"
        )
    return Finding(terms.secret.name, terms.place, lacks=("read",), hint=hint)
