"""A way to a PostgreSQL of the tests that lets nobody through without TLS, as a server set up for it does."""

import asyncio
import datetime
import ipaddress
import ssl
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.support.black_hole import BlackHole
from tests.support.doorman import TLS_WANTED, code_of, message, refused


@dataclass(frozen=True)
class Certificate:
    """Where a certificate is, and its key."""

    path: Path
    key_path: Path


class Authority:
    """Certifies whoever asks; `path` is what others know it by."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        directory.mkdir()
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = named("authority")
        self.path = directory / "authority.pem"
        usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
        builder = self._builder(self._name, self._key.public_key())
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        self._write(self.path, builder.add_extension(usage, critical=True))

    def certificate(self, name: str, address: str) -> Certificate:
        """One for a host at an IP address."""
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = Certificate(self._directory / f"{name}.pem", self._directory / f"{name}.key")
        names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))])
        builder = self._builder(named(name), key.public_key())
        self._write(certificate.path, builder.add_extension(names, critical=False))
        certificate.key_path.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        return certificate

    def _builder(self, subject: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
        now = datetime.datetime.now(datetime.UTC)
        builder = x509.CertificateBuilder().subject_name(subject).issuer_name(self._name).public_key(key)
        builder = builder.serial_number(x509.random_serial_number())
        hour = datetime.timedelta(hours=1)
        return builder.not_valid_before(now - hour).not_valid_after(now + hour)

    def _write(self, path: Path, builder: x509.CertificateBuilder) -> None:
        certificate = builder.sign(self._key, hashes.SHA256())
        path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))


def named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


class TlsDoor(BlackHole):
    """Speaks TLS by its certificate; with an authority for `clients`, to those alone whom that one knows."""

    def __init__(self, url: str, certificate: Certificate, clients: Authority | None = None) -> None:
        super().__init__(url)
        self._context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._context.load_cert_chain(certificate.path, certificate.key_path)
        if clients:
            self._context.load_verify_locations(clients.path)
            self._context.verify_mode = ssl.CERT_REQUIRED
        self.let_in: list[str | None] = []
        """Of each connection that passed, the protocol that it speaks."""

    async def _let_in(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes | None:
        try:
            start = await message(reader)
            if code_of(start) != TLS_WANTED:
                writer.write(refused("no pg_hba.conf entry, no encryption", "28000"))
                return None
            writer.write(b"S")
            await writer.start_tls(self._context)
            start = await message(reader)
        except (OSError, EOFError):  # the client did not like what it saw, or was not liked
            return None
        self.let_in.append(writer.get_extra_info("ssl_object").version())
        return start
