"""Which memory for keys does this machine's kernel give?"""

from __future__ import annotations

from brokerd.secretmem import SecretPage
from tests.support import require


def require_memfd_secret() -> None:
    """Go on only where the kernel has memfd_secret(2)."""
    require.require_linux()
    page = SecretPage()
    page.close()
    if page.kind != "memfd_secret":
        require._missing("this kernel gives no memfd_secret: boot Linux with secretmem.enable=1")
