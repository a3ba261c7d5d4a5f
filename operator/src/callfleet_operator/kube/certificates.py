"""The internal CA and the leaf certificates that it signs (ECDSA P-256, X.509).

What time it is comes in. Every CA carries the key usage extension, because Python 3.13
refuses one without. An identity is a URI SAN (what programs check) and a DNS SAN with the same
meaning (what TLS libraries check by themselves).
"""

import base64
import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from callfleet_operator.ports.clock import Clock
from callfleet_operator.ports.kinds import Manifest

CA_LIFE_S = 10 * 365 * 86400.0
LEAF_LIFE_S = 90 * 86400.0
# A clock that is behind ours must not take a new certificate for one of the future.
_BACKDATED_S = 300.0
FINGERPRINT = "callfleet.io/ca-fingerprint"
NOT_AFTER = "callfleet.io/not-after"
MANAGED_BY = "app.kubernetes.io/managed-by"
OPERATOR_IDENTITY = "spiffe://callfleet.io/operator"
OPERATOR_HOST = "operator.callfleet.internal"


@dataclass(frozen=True)
class KeyPair:
    """A certificate and its key, PEM."""

    certificate: bytes
    key: bytes

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the certificate, hexadecimal."""
        parsed = x509.load_pem_x509_certificate(self.certificate)
        return hashlib.sha256(parsed.public_bytes(serialization.Encoding.DER)).hexdigest()

    @property
    def not_after(self) -> float:
        """Unix time in seconds at which the certificate ends."""
        return x509.load_pem_x509_certificate(self.certificate).not_valid_after_utc.timestamp()


def agent_identity(namespace: str, agent: str) -> str:
    return f"spiffe://callfleet.io/ns/{namespace}/voiceagent/{agent}"


def agent_host(namespace: str, agent: str) -> str:
    """The DNS SAN of an agent's pods. It is never resolved: it names who must answer."""
    return f"{agent}.{namespace}.voiceagent.callfleet.internal"


def make_ca(installation: str, now: float) -> KeyPair:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"{installation} internal CA")])
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    builder = (
        _builder(name, name, now, CA_LIFE_S)
        .public_key(key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(ca=True), critical=True)
        .add_extension(identifier, critical=False)
    )
    return _pair(builder.sign(key, hashes.SHA256()), key)


def make_leaf(ca: KeyPair, identity: str, host: str, now: float) -> KeyPair:
    """A certificate for both ends of TLS, never valid beyond its CA."""
    authority = x509.load_pem_x509_certificate(ca.certificate)
    signer = serialization.load_pem_private_key(ca.key, None)
    assert isinstance(signer, ec.EllipticCurvePrivateKey)  # noqa: S101 - make_ca made it
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host[:64])])
    life = min(LEAF_LIFE_S, authority.not_valid_after_utc.timestamp() - now)
    both = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
    names = [x509.DNSName(host), x509.UniformResourceIdentifier(identity)]
    issuer_key = x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key())
    builder = (
        _builder(name, authority.subject, now, life)
        .public_key(key.public_key())
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(ca=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage(both), critical=False)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(issuer_key, critical=False)
    )
    return _pair(builder.sign(signer, hashes.SHA256()), key)


@dataclass(frozen=True)
class Authority:
    """The CA that signs, and what is trusted: during a change of CA the former one as well."""

    ca: KeyPair
    bundle: bytes

    def ends_soon(self, now: float) -> bool:
        return self.ca.not_after - now < CA_LIFE_S / 10

    def renewed(self, installation: str, now: float) -> "Authority":
        """A new CA; the one that ends is trusted on, for leaves that it signed."""
        ca = make_ca(installation, now)
        return Authority(ca, ca.certificate + self.ca.certificate)

    def secret(self, namespace: str, name: str) -> Manifest:
        data = {"tls.crt": self.ca.certificate, "tls.key": self.ca.key, "ca.crt": self.bundle}
        return _secret(namespace, name, data, self.ca)


def read_authority(secret: Manifest) -> Authority:
    """The CA of a Secret. ValueError when it is damaged or its halves do not belong together."""
    data = secret.get("data") or {}
    try:
        pair = KeyPair(base64.b64decode(data["tls.crt"]), base64.b64decode(data["tls.key"]))
        bundle = base64.b64decode(data.get("ca.crt") or data["tls.crt"])
        certificate = x509.load_pem_x509_certificate(pair.certificate)
        key = serialization.load_pem_private_key(pair.key, None)
    except (KeyError, ValueError, TypeError) as error:
        raise ValueError("the CA's Secret has no readable tls.crt and tls.key") from error
    if key.public_key() != certificate.public_key():
        raise ValueError("the CA's key does not belong to its certificate")
    return Authority(pair, bundle)


@dataclass
class Issuer:
    """The LeafIssuer: signs, and renews when a third of a leaf's life is left."""

    authority: Authority
    clock: Clock

    def issue(self, namespace: str, agent: str, live: Manifest | None) -> Manifest | None:
        if live is not None and self._good(live):
            return None
        identity, host = agent_identity(namespace, agent), agent_host(namespace, agent)
        leaf = make_leaf(self.authority.ca, identity, host, self.clock.wall())
        data = {
            "tls.crt": leaf.certificate,
            "tls.key": leaf.key,
            "ca.crt": self.authority.bundle,
        }
        return _secret(namespace, f"{agent}-tls", data, self.authority.ca, leaf.not_after)

    def _good(self, live: Manifest) -> bool:
        annotations = live["metadata"].get("annotations") or {}
        if annotations.get(FINGERPRINT) != self.authority.ca.fingerprint:
            return False
        try:
            ends = datetime.fromisoformat(annotations[NOT_AFTER]).timestamp()
        except (KeyError, ValueError):
            return False
        return ends - self.clock.wall() > LEAF_LIFE_S / 3


@dataclass
class OperatorLeaf:
    """The operator's own certificate, in memory only; renewed like those of agents."""

    issuer: Issuer
    _pair: KeyPair | None = None
    _signer: str = ""

    def current(self) -> KeyPair:
        now = self.issuer.clock.wall()
        ca = self.issuer.authority.ca
        fresh = self._pair is not None and self._pair.not_after - now > LEAF_LIFE_S / 3
        if self._pair is None or not fresh or self._signer != ca.fingerprint:
            self._pair = make_leaf(ca, OPERATOR_IDENTITY, OPERATOR_HOST, now)
            self._signer = ca.fingerprint
        return self._pair


def _secret(
    namespace: str, name: str, data: dict[str, bytes], ca: KeyPair, not_after: float | None = None
) -> Manifest:
    ends = datetime.fromtimestamp(not_after or ca.not_after, UTC).isoformat(timespec="seconds")
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "namespace": namespace,
            "name": name,
            "labels": {MANAGED_BY: "callfleet-operator"},
            "annotations": {FINGERPRINT: ca.fingerprint, NOT_AFTER: ends},
        },
        "type": "Opaque",
        "data": {key: base64.b64encode(value).decode() for key, value in data.items()},
    }


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
