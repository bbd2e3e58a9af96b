"""How does a server prove who it is, and how do we, in TLS?"""

from __future__ import annotations

import os
import ssl
import stat
from collections.abc import Callable
from dataclasses import dataclass, field

from brokerd.tampering import open_to_others
from brokershim.errors import ServerUnproven

_LONGEST = 1024 * 1024
_UNSENT = {"sent": False, "temporary": False}
Prove = Callable[[ssl.SSLContext], None]
"""Puts a client certificate on a context (RFC 8446, section 4.4.2)."""


@dataclass(frozen=True)
class Trust:
    """Whom a connection trusts, and how it proves who we are.

    Attributes:
        ca_file: Authorities in PEM, and no others; None for those of the system.
        server_name: What the certificate has to be for; None for the URL's own host.
        prove: Puts our own certificate there; None for a connection that proves nothing of us.
    """

    ca_file: str | None = None
    server_name: str | None = None
    prove: Prove | None = field(default=None, repr=False)

    def context(self) -> ssl.SSLContext:
        """Return what a connection is secured with; made anew for each, as authorities change.

        Raises:
            ServerUnproven: The file with the authorities cannot be used.
            BrokerError: As `prove`.
        """
        # Not create_default_context: as SSLKEYLOGFILE says, it writes down what opens each
        # connection.
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if self.ca_file is None:
            context.load_default_certs()
        else:
            _load(context, self.ca_file)
        if self.prove is not None:
            self.prove(context)
        return context


def _load(context: ssl.SSLContext, path: str) -> None:
    try:
        authorities = _read(path)
        context.load_verify_locations(cadata=authorities)
    except ssl.SSLError:
        fault = "holds no certificate in PEM"
    except OSError as error:
        fault = f"cannot be read ({error.strerror})"
    except ValueError:
        fault = "holds no certificate in PEM"
    else:
        return
    raise _unusable(path, fault)


def _read(path: str) -> str:
    """Return what a file holds; who may write it decides whom we send tokens to.

    A symbolic link is followed: below /etc/ssl most are.
    """
    # O_NONBLOCK: a named pipe laid in the file's place must not hang us.
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise _unusable(path, "is not a regular file")
        loose = open_to_others(path)
        if loose is not None:
            where = "" if loose == path else f", who can change {loose}"
            raise _unusable(path, f"can be written by others{where}")
        return file.read(_LONGEST).decode("ascii")


def _unusable(path: str, fault: str) -> ServerUnproven:
    return ServerUnproven(
        f"{path}, with the authorities that are trusted, {fault}",
        hint="mend that file, or name another in config.toml",
        details=dict(_UNSENT),
    )
