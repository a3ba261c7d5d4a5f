"""The files of an identity, as a Kubernetes TLS Secret has them: certificate, key, whom to trust.

A key of another kind than EC is refused: with it TLS 1.2 could be spoken (see services/tls.py).
"""

from dataclasses import dataclass, field
from pathlib import Path

import grpc
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from callfleet_agent.identity.errors import TlsFilesError


@dataclass(frozen=True, slots=True)
class TlsContents:
    """What the files hold, PEM."""

    certificate: bytes
    key: bytes = field(repr=False)
    authority: bytes


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """Where certificate, key and the CA that signs the other end's certificate lie."""

    certificate: Path
    key: Path
    ca: Path

    @classmethod
    def in_folder(cls, folder: Path) -> "TlsFiles":
        """The files as a Kubernetes TLS Secret names them."""
        return cls(folder / "tls.crt", folder / "tls.key", folder / "ca.crt")

    def stamp(self) -> tuple[int, ...]:
        """Changes when one of the files was replaced.

        Raises:
            TlsFilesError: a file is not there.
        """
        try:
            return tuple(path.stat().st_mtime_ns for path in (self.certificate, self.key, self.ca))
        except OSError as error:
            raise TlsFilesError(f"cannot read {error.filename}: {error.strerror}") from error

    def contents(self) -> TlsContents:
        """What the files hold.

        Raises:
            TlsFilesError: a file cannot be read, is none, or does not go with the others.
        """
        try:
            key, certificate = self.key.read_bytes(), self.certificate.read_bytes()
            authority = self.ca.read_bytes()
        except OSError as error:
            raise TlsFilesError(f"cannot read {error.filename}: {error.strerror}") from error
        self._check(key, certificate)
        return TlsContents(certificate, key, authority)

    def credentials(self) -> grpc.ChannelCredentials:
        """The identity as gRPC's clients want it. Raises TlsFilesError."""
        given = self.contents()
        return grpc.ssl_channel_credentials(given.authority, given.key, given.certificate)

    def _check(self, key: bytes, certificate: bytes) -> None:
        try:
            public = x509.load_pem_x509_certificate(certificate).public_key()
        except ValueError as error:
            raise TlsFilesError(f"{self.certificate.name} is no certificate") from error
        if not isinstance(public, EllipticCurvePublicKey):
            raise TlsFilesError(
                f"{self.certificate.name} has no EC key: with another kind TLS 1.2 could be spoken"
            )
        try:
            own = load_pem_private_key(key, password=None).public_key()
        except (ValueError, TypeError) as error:
            raise TlsFilesError(f"{self.key.name} is no key that can be read") from error
        if own != public:
            raise TlsFilesError(f"{self.key.name} is not the key of {self.certificate.name}")
