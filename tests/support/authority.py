"""A certificate authority that nobody knows, and certificates by it for this machine."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

_DAY = timedelta(days=1)


class Authority:
    """Its own certificate is in `path`."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Test authority")])
        self._issued = 0
        identifier = x509.SubjectKeyIdentifier.from_public_key(self._key.public_key())
        own = self._certificate(self._name, self._key.public_key(), datetime.now(UTC) + 30 * _DAY)
        own = own.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        own = own.add_extension(identifier, critical=False)
        self.path = directory / "authority.pem"
        self.path.write_bytes(own.sign(self._key, SHA256()).public_bytes(Encoding.PEM))

    def server(self, *hosts: str, ended: bool = False) -> ssl.SSLContext:
        """What a server for these names and addresses offers; `ended`: its certificate, yesterday."""
        key = ec.generate_private_key(ec.SECP256R1())
        end = datetime.now(UTC) + (-_DAY if ended else _DAY)
        names = [x509.IPAddress(ip_address(host)) if host[0].isdigit() else x509.DNSName(host) for host in hosts]
        certificate = self._certificate(x509.Name([]), key.public_key(), end)
        certificate = certificate.add_extension(x509.SubjectAlternativeName(names), critical=True)
        certificate = certificate.add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False
        )
        signed = certificate.sign(self._key, SHA256()).public_bytes(Encoding.PEM)
        path = self._directory / f"server-{self._issued}.pem"
        path.write_bytes(signed + key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        return context

    def _certificate(
        self, subject: x509.Name, key: ec.EllipticCurvePublicKey, end: datetime
    ) -> x509.CertificateBuilder:
        self._issued += 1
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(self._issued)
            .not_valid_before(end - 60 * _DAY)
            .not_valid_after(end)
        )
