"""The internal CA's certificates and the leaves that it signs (ECDSA P-256, X.509).

Every CA carries the key usage extension, because Python 3.13 refuses one without.
"""

import hashlib
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from .names import Subject

# A clock that is behind ours must not take a new certificate for one of the future.
_BACKDATED_S = 300.0


def fingerprint(certificate: bytes) -> str:
    """SHA-256 of a PEM certificate's DER form, hexadecimal."""
    parsed = x509.load_pem_x509_certificate(certificate)
    return hashlib.sha256(parsed.public_bytes(serialization.Encoding.DER)).hexdigest()


def not_after(certificate: bytes) -> float:
    """Unix time in seconds at which a PEM certificate ends."""
    return x509.load_pem_x509_certificate(certificate).not_valid_after_utc.timestamp()


@dataclass(frozen=True)
class KeyPair:
    """A certificate and its key, PEM."""

    certificate: bytes
    key: bytes = field(repr=False)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the certificate, hexadecimal."""
        return fingerprint(self.certificate)

    @cached_property
    def not_after(self) -> float:
        """Unix time in seconds at which the certificate ends."""
        return not_after(self.certificate)

    def check(self) -> None:
        """ValueError when a half cannot be read, or they do not belong together."""
        try:
            certificate = x509.load_pem_x509_certificate(self.certificate)
            key = serialization.load_pem_private_key(self.key, None)
        except (ValueError, TypeError) as error:
            raise ValueError("no readable tls.crt and tls.key") from error
        if key.public_key() != certificate.public_key():
            raise ValueError("the CA's key does not belong to its certificate")


def make_ca(installation: str, now: float, life_s: float) -> KeyPair:
    key = ec.generate_private_key(ec.SECP256R1())
    # Two CAs of one name are told apart by their keys' identifiers; a serial number in the name
    # helps those who look at names only.
    serial = x509.random_serial_number()
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.COMMON_NAME, f"{installation} internal CA"),
            x509.NameAttribute(NameOID.SERIAL_NUMBER, f"{serial:x}"[:16]),
        ]
    )
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    builder = (
        _builder(name, name, now, life_s)
        .public_key(key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(ca=True), critical=True)
        .add_extension(identifier, critical=False)
    )
    return _pair(builder.sign(key, hashes.SHA256()), key)


def make_leaf(ca: KeyPair, subject: Subject, now: float, life_s: float) -> KeyPair:
    """A certificate for both ends of TLS, never valid beyond its CA."""
    authority = x509.load_pem_x509_certificate(ca.certificate)
    signer = serialization.load_pem_private_key(ca.key, None)
    assert isinstance(signer, ec.EllipticCurvePrivateKey)  # noqa: S101 - make_ca made it
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject.hosts[0][:64])])
    both = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
    names = [
        *map(x509.DNSName, subject.hosts),
        x509.UniformResourceIdentifier(subject.identity),
    ]
    issuer_key = x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key())
    builder = (
        _builder(name, authority.subject, now, min(life_s, ca.not_after - now))
        .public_key(key.public_key())
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(ca=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage(both), critical=False)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(issuer_key, critical=False)
    )
    return _pair(builder.sign(signer, hashes.SHA256()), key)


def _builder(
    subject: x509.Name, issuer: x509.Name, now: float, life_s: float
) -> x509.CertificateBuilder:
    start = datetime.fromtimestamp(int(now - _BACKDATED_S), UTC)
    end = datetime.fromtimestamp(int(now), UTC) + timedelta(seconds=int(life_s))
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(end)
    )


def _usage(*, ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=ca,
        crl_sign=ca,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _pair(certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> KeyPair:
    return KeyPair(
        certificate.public_bytes(serialization.Encoding.PEM),
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ),
    )
