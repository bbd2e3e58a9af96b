"""A certificate that a client proves itself with, and its private key."""

from __future__ import annotations

import datetime
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives import serialization as pem
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID


class ClientCertificate(NamedTuple):
    """Both in PEM.

    Attributes:
        certificate: It signs itself.
        key: Not locked with a passphrase.
    """

    certificate: str
    key: str


def client_certificate(name: str = "a client of the tests") -> ClientCertificate:
    """Make one, with a new key."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(pem.Encoding.PEM, pem.PrivateFormat.PKCS8, pem.NoEncryption())
    return ClientCertificate(made.public_bytes(pem.Encoding.PEM).decode(), private.decode())


def locked(key: str, passphrase: str) -> str:
    """Return a private key that is locked with a passphrase."""
    found = pem.load_pem_private_key(key.encode(), None)
    encryption = pem.BestAvailableEncryption(passphrase.encode())
    return found.private_bytes(pem.Encoding.PEM, pem.PrivateFormat.PKCS8, encryption).decode()
