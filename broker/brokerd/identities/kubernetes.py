"""How does a pod's service account become an identity?

The kubelet writes its token into a projected volume, and renews it there
(Kubernetes, "ServiceAccount token volume projection").
"""

from __future__ import annotations

from brokerd.identities import tokenfile
from brokerd.identities.base import Identity
from brokerd.identities.file import TokenFile
from brokerd.table import Table

DEFAULT_PATH = "/var/run/secrets/tokens/brokerctl"
"""Not the token that every pod has: that one is for the cluster's own API."""


def build(name: str, table: Table) -> Identity:
    """Return the identity that a table ``kind = "kubernetes"`` describes.

    Raises:
        ConfigError: Its ``path`` is not absolute.
    """
    path = table.optional_absolute_path("path") or DEFAULT_PATH
    return TokenFile(name, "kubernetes", path, tokenfile.read_mounted)
