"""Which lease did a server make for us: is it one that can be written down, and is ours to end?

(Pure.) Vault, "Lease, renew, and revoke", "Lease IDs".
"""

from __future__ import annotations

from brokerd.backends.reply import text
from brokerd.backends.vault.terms import DynamicTerms
from brokershim.errors import BackendRefused, ServerDown

_LONGEST = 2048
"""Characters of a lease's id: its engine's path, its role, and 24 more."""


def lease_in(answer: object, terms: DynamicTerms) -> str:
    """Return the id of the lease that an answer is of.

    Args:
        answer: What an engine answered.
        terms: What it was asked for.

    Raises:
        BackendRefused: It made no lease, so nothing would end the key.
        ServerDown: The id cannot be written down, or is of another path: to end that would end
            what somebody else has. What `MintingBackend.prepare` returned ends it.
    """
    lease, where = text(answer, "lease_id"), f"{terms.path} of {terms.secret.backend}"
    if not lease:
        raise BackendRefused(
            f"nothing would end a key of {terms.secret.name}: {terms.path} makes no lease",
            hint="PKI: set generate_lease = true in its role; a KV secret: leave `engine` out",
        )
    if len(lease) > _LONGEST or not (lease.isascii() and lease.isprintable()):
        raise ServerDown(f"{where} makes a lease whose id is none")
    if not _is_of(terms.path, lease):
        raise ServerDown(f"{where} answers with a lease of another path")
    return lease


def _is_of(path: str, lease: str) -> bool:
    """Return whether a server made a lease as a path was asked.

    Its id is that path, and one part more. It does not name the namespace, which may stand at the
    beginning of the path that is asked.
    """
    made_at = lease.rpartition("/")[0]
    return bool(made_at) and (path == made_at or path.endswith("/" + made_at))
