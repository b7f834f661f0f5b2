"""A server with TLS in front of one without: a certificate of its own, and every request passed on."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import grpc
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


@dataclass
class Front(grpc.GenericRpcHandler):
    """What it passes on, and the tokens that came with it."""

    channel: grpc.Channel
    port: int = 0
    tokens: list[str] = field(default_factory=list)

    def service(self, call: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[bytes, bytes]:
        path, metadata = call.method, dict(call.invocation_metadata or ())

        def pass_on(request: bytes, context: grpc.ServicerContext) -> bytes:
            self.tokens.append(str(metadata.get("authorization", "")))
            reply: bytes = self.channel.unary_unary(path)(request)
            return reply

        return grpc.unary_unary_rpc_method_handler(pass_on)


@contextmanager
def tls_front(target: str, certificate_file: Path) -> Iterator[Front]:
    """Serve with TLS on a port of 127.0.0.1; the certificate to trust is written to the file."""
    key_pem, certificate_pem = _certificate()
    certificate_file.write_bytes(certificate_pem)
    with grpc.insecure_channel(target) as channel, ThreadPoolExecutor(4) as threads:
        front = Front(channel)
        server = grpc.server(threads, handlers=(front,), options=[("grpc.so_reuseport", 0)])
        credentials = grpc.ssl_server_credentials([(key_pem, certificate_pem)])
        front.port = server.add_secure_port("127.0.0.1:0", credentials)
        server.start()
        try:
            yield front
        finally:
            server.stop(None).wait()


def _certificate() -> tuple[bytes, bytes]:
    """A key, and a certificate for localhost and 127.0.0.1 that it has signed itself; both as PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.IPAddress(ip_address("127.0.0.1"))]),
            critical=False,
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    key_pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return key_pem, certificate.public_bytes(serialization.Encoding.PEM)
