"""Certificates and tokens for tests of the platform's services."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.x509.oid import NameOID

from callfleet_agent.identity import TlsFiles
from callfleet_agent.services.tokens import LONGEST_LIFE_S, TokenMint, public_jwk

AGENT = "spiffe://callfleet.io/ns/bank/voiceagent/card-line"
CLIENT = "spiffe://callfleet.io/ns/bank/client/kiosk"
OPERATOR = "spiffe://callfleet.io/operator"
SERVICE = "spiffe://callfleet.io/ns/callfleet-system/service/platform"
HOST = "platform.test"
ISSUER = "callfleet-test"
SCOPES = [
    "sessions.read",
    "sessions.write",
    "contexts.read",
    "contexts.write",
    "banking.read",
    "banking.write",
    "banking.authenticate",
    "calls",
    "speech",
    "conversation",
]
AUDIENCES = (
    "session-manager", "context-store", "banking", "ai-voice-connector", "vad", "asr", "llm", "tts",
)  # fmt: skip

KEYS: dict[str, Callable[[], ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey]] = {
    "EC": lambda: ec.generate_private_key(ec.SECP256R1()),
    "RSA": lambda: rsa.generate_private_key(public_exponent=65537, key_size=2048),
}


class Authority:
    """A certificate authority that lives for one test."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test CA")])
        self.certificate = (
            self._builder(self._name, self._key.public_key(), timedelta(hours=1))
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .sign(self._key, hashes.SHA256())
        )

    def _builder(
        self,
        subject: x509.Name,
        key: CertificatePublicKeyTypes,
        life: timedelta,
        since: timedelta = timedelta(hours=-2),
    ) -> x509.CertificateBuilder:
        now = datetime.now(UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + since)
            .not_valid_after(now + life)
        )

    def issue(
        self,
        folder: Path,
        *identities: str,
        life: timedelta = timedelta(hours=1),
        kind: str = "EC",
        since: timedelta = timedelta(hours=-2),
    ) -> TlsFiles:
        """A certificate with these URIs, in a folder like a mounted Secret."""
        folder.mkdir(parents=True, exist_ok=True)
        key = KEYS[kind]()
        hosts = [x509.DNSName(HOST), x509.DNSName("localhost")]
        names = [*map(x509.UniformResourceIdentifier, identities), *hosts]
        certificate = (
            self._builder(x509.Name([]), key.public_key(), life, since)
            .add_extension(x509.SubjectAlternativeName(names), critical=True)
            .sign(self._key, hashes.SHA256())
        )
        pem = serialization.Encoding.PEM
        files = TlsFiles.in_folder(folder)
        files.certificate.write_bytes(certificate.public_bytes(pem))
        files.ca.write_bytes(self.certificate.public_bytes(pem))
        files.key.write_bytes(
            key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        )
        return files


def channel(port: int, files: TlsFiles, window: int | None = None) -> grpc.aio.Channel:
    """A channel with this identity; `window`: how many bytes of answers it takes unread."""
    credentials = grpc.ssl_channel_credentials(
        files.ca.read_bytes(), files.key.read_bytes(), files.certificate.read_bytes()
    )
    options = [
        ("grpc.ssl_target_name_override", HOST),
        ("grpc.use_local_subchannel_pool", 1),
        ("grpc.max_reconnect_backoff_ms", 1000),  # a server may take long to start again
    ]
    if window is not None:
        options += [("grpc.http2.lookahead_bytes", window), ("grpc.http2.bdp_probe", 0)]
    return grpc.aio.secure_channel(f"127.0.0.1:{port}", credentials, options=options)


@dataclass
class OnChannel:
    """A service as its clients see it, on a channel that a test has made."""

    channel: grpc.aio.Channel
    token: Callable[[], str] = lambda: "t"
    closed: bool = False

    def stub(self, kind: Callable[[grpc.aio.Channel], Any]) -> Any:
        return kind(self.channel)

    def metadata(self, correlation_id: str) -> tuple[tuple[str, str], ...]:
        return (
            ("authorization", f"Bearer {self.token()}"),
            ("x-correlation-id", correlation_id),
        )

    async def close(self) -> None:
        self.closed = True


@dataclass
class Tokens:
    """A key set in a file, and mints of its keys."""

    path: Path

    def __post_init__(self) -> None:
        self.keys: dict[str, Ed25519PrivateKey] = {}
        self.rotate_to("t1")

    def rotate_to(self, *names: str) -> None:
        """The key set has these keys and no others."""
        self.keys = {name: self.keys.get(name, Ed25519PrivateKey.generate()) for name in names}
        entries = [public_jwk(key.public_key(), name) for name, key in self.keys.items()]
        fresh = self.path.with_suffix(".new")
        fresh.write_text(json.dumps({"keys": entries}))
        fresh.replace(self.path)

    def mint(self, subject: str, key: str = "t1") -> TokenMint:
        return TokenMint(self.keys[key], key, ISSUER, subject, life_s=LONGEST_LIFE_S)

    def metadata(self, subject: str) -> tuple[tuple[str, str], ...]:
        """What a request of this subject carries: every audience and scope."""
        token = self.mint(subject).token(AUDIENCES, SCOPES)
        return (("authorization", f"Bearer {token}"),)
