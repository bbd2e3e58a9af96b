"""How does a machine log in with a TLS certificate?

Its private key stands in the keyring, and on no disk: OpenSSL, which reads keys from files only,
gets it through a pipe. Vault, "TLS certificates auth method".
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Callable, Generator, Hashable, Mapping
from contextlib import contextmanager

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization as pem
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes, PublicKeyTypes

from brokerd.backends.vault.client import Vault
from brokerd.backends.vault.login import proof
from brokerd.backends.vault.login.base import Auth
from brokerd.backends.vault.login.enrolled import Enrolled
from brokerd.backends.vault.login.settings import auth_mount
from brokerd.identities.base import Identity
from brokerd.table import Table
from brokershim import clock
from brokershim.errors import IdentityUnavailable, UsageError

_LONGEST = 32 * 1024
"""Bytes of a chain or a key: a pipe holds them whole (64 KiB on Linux and macOS)."""


class Certificate:
    """A certificate in a file, and its private key in the keyring.

    Args:
        name: The backend's configured name.
        mount: Where the auth method is mounted.
        role: The role to log in as; None for whichever fits.
        path: The certificate, and what it is signed by, in PEM. It is read anew each time.
        enrolled: Where the private key stands.
        now: The time, in seconds of `brokershim.clock.now`.
    """

    kind = "cert"
    wants = "private key (PEM)"

    def __init__(
        self,
        name: str,
        mount: str,
        role: str | None,
        path: str,
        enrolled: Enrolled,
        now: Callable[[], float] = clock.now,
    ) -> None:
        self._name, self._mount, self._role = name, mount, role
        self._path, self._enrolled, self._now = path, enrolled, now
        self._enrolments = 0

    def revision(self) -> Hashable:
        """Return what changes with each private key that is given."""
        return self._enrolments

    def enrolled(self) -> bool:
        """Return whether a private key was given. Raises `KeyringUnavailable`."""
        return self._enrolled.load() is not None

    def enrol(self, value: str) -> None:
        """Keep a private key, and nothing that stands beside it.

        Raises:
            UsageError: It is none that can be read, or not that of the certificate.
            IdentityUnavailable: There is no certificate to hold it against.
            KeyringUnavailable: The keyring does not keep it.
        """
        key = _key(self._name, value)
        if _public(key.public_key()) != _public(self._certificate().public_key()):
            raise UsageError(
                f"that is not the private key of {self._path}",
                hint="see which of the two files is the wrong one",
            )
        alone = key.private_bytes(pem.Encoding.PEM, pem.PrivateFormat.PKCS8, pem.NoEncryption())
        self._enrolled.save(alone.decode("ascii"))
        self._enrolments += 1

    def login(self, vault: Vault) -> Auth:
        """Log in with it. Raises as `Method.login`."""
        role = {} if self._role is None else {"name": self._role}
        return proof.prove(
            vault,
            self._mount,
            lambda _: vault.client(prove=self.prove).write_data(
                f"auth/{self._mount}/login", data=role
            ),
            f"see which certificates auth/{self._mount} takes, and for which role",
            self._now,
        )

    def prove(self, context: ssl.SSLContext) -> None:
        """Put the certificate and its key on a connection. Raises as `ProvingMethod.prove`."""
        chain, key = self._chain(), self._enrolled.load()
        if key is None:
            raise IdentityUnavailable(
                f"{self._name} has a certificate, and no private key",
                hint=f"give it one: `brokerctl backend enrol {self._name} < key.pem`",
            )
        if not _load(context, chain, key.encode()):
            raise IdentityUnavailable(
                f"{self._path} and the private key that {self._name} was given do not fit",
                hint="correct cert_file in config.toml, or give it that file's key: "
                f"`brokerctl backend enrol {self._name} < key.pem`",
            )

    def _certificate(self) -> x509.Certificate:
        """Return the first of the file: the others say who signed it (RFC 8446, 4.4.2)."""
        try:
            return x509.load_pem_x509_certificates(self._chain())[0]
        except ValueError:
            raise self._unusable("holds no certificate in PEM") from None

    def _chain(self) -> bytes:
        """Return what the file holds. Whose it is does not matter: only its key makes it of use."""
        try:
            # O_NONBLOCK: a named pipe in the file's place must not hang us.
            fd = os.open(self._path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            with os.fdopen(fd, "rb", buffering=0) as file:
                found = file.read(_LONGEST + 1) or b""
        except OSError as error:
            raise self._unusable(f"cannot be read ({error.strerror})") from None
        if len(found) > _LONGEST:
            raise self._unusable(f"is over {_LONGEST} bytes")
        return found

    def _unusable(self, why: str) -> IdentityUnavailable:
        return IdentityUnavailable(
            f"{self._path}, the certificate of {self._name}, {why}",
            hint="put it there, in PEM, or correct cert_file in config.toml",
        )


def build(name: str, table: Table, identities: Mapping[str, Identity]) -> Certificate:  # noqa: ARG001 - as of every login
    """Return the way to log in that a backend's table describes.

    Raises:
        ConfigError: It names no certificate.
    """
    path = table.absolute_path("cert_file")
    mount, role = auth_mount(table, "cert"), table.optional_text("role")
    return Certificate(name, mount, role, path, Enrolled(name))


@contextmanager
def _piped(data: bytes) -> Generator[str]:
    """Yield a path at which this process, and no other, can read some bytes once.

    Args:
        data: No more than a pipe holds, or this would wait for ever.
    """
    reader, writer = os.pipe()
    try:
        with os.fdopen(writer, "wb") as whole:
            whole.write(data)
        yield f"/dev/fd/{reader}"
    finally:
        os.close(reader)


def _load(context: ssl.SSLContext, chain: bytes, key: bytes) -> bool:
    """Return whether a connection took a certificate and its key, which it reads in that order."""
    with _piped(chain) as certfile, _piped(key) as keyfile:
        try:
            # A password, though there is none: OpenSSL would ask for it at a terminal.
            context.load_cert_chain(certfile, keyfile, password="")
        except OSError:  # ssl.SSLError is one; and what is left of OpenSSL's way with pipes
            return False
    return True


def _public(key: PublicKeyTypes) -> bytes:
    return key.public_bytes(pem.Encoding.DER, pem.PublicFormat.SubjectPublicKeyInfo)


def _key(name: str, value: str) -> PrivateKeyTypes:
    try:
        return pem.load_pem_private_key(value.encode(), None)
    except TypeError:
        fault = "that private key is locked with a passphrase"
    except (ValueError, UnsupportedAlgorithm):
        fault = "that is no private key in PEM"
    # After the handlers: what they caught may hold a part of it.
    raise UsageError(
        fault,
        hint=f"unlocked and whole, from a file: `brokerctl backend enrol {name} < key.pem`",
    )
