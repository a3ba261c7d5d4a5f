"""The pod's mTLS identity for the control stream: TLS 1.3, re-read when the files change.

gRPC's Python API has no minimum version. TLS 1.3 suites cannot be switched off in it, and suites of
TLS 1.2 can be named: the package's first import names one that only an RSA key can serve. A key of
another kind than EC is refused here, at the start and at a rotation, so that a client that does not
know 1.3 finds no shared suite, whatever certificate is given.
"""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import grpc
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from callfleet_agent.services.errors import TlsFilesError

OPERATOR_IDENTITY: Final = "spiffe://callfleet.io/operator"
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """Where certificate, key and the CA that signs the operator's certificate lie."""

    certificate: Path
    key: Path
    ca: Path

    @classmethod
    def in_folder(cls, folder: Path) -> "TlsFiles":
        """The files as a Kubernetes TLS Secret names them."""
        return cls(folder / "tls.crt", folder / "tls.key", folder / "ca.crt")

    def stamp(self) -> tuple[int, ...]:
        """Changes when one of the files was replaced."""
        return tuple(path.stat().st_mtime_ns for path in (self.certificate, self.key, self.ca))

    def read(self) -> grpc.ServerCertificateConfiguration:
        """The identity as gRPC wants it.

        Raises:
            TlsFilesError: a file cannot be read, is none, or does not go with the others.
        """
        try:
            key, certificate = self.key.read_bytes(), self.certificate.read_bytes()
            authority = self.ca.read_bytes()
        except OSError as error:
            raise TlsFilesError(f"cannot read {error.filename}: {error.strerror}") from error
        self._check(key, certificate)
        return grpc.ssl_server_certificate_configuration(
            [(key, certificate)], root_certificates=authority
        )

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


def server_credentials(files: TlsFiles) -> grpc.ServerCredentials:
    """Credentials that ask for a client certificate and follow a rotation of the files.

    Raises:
        TlsFilesError: the files are missing, unusable, or of a kind that allows TLS 1.2.
    """
    try:
        stamp = files.stamp()
    except OSError as error:
        raise TlsFilesError(f"cannot read {error.filename}: {error.strerror}") from error
    first = files.read()

    def reread() -> grpc.ServerCertificateConfiguration | None:
        nonlocal stamp
        try:
            seen = files.stamp()  # before they are read: what changes meanwhile is read again
            if seen == stamp:
                return None
            fresh = files.read()
        except (OSError, TlsFilesError):  # a Secret being swapped: the next handshake sees it
            _log.warning("the control identity cannot be read again, the former one stays")
            return None
        stamp = seen
        _log.info("the control identity was rotated")
        return fresh

    return grpc.dynamic_ssl_server_credentials(
        first,
        reread,  # type: ignore[arg-type]  # None means "as before", the stub does not know it
        require_client_authentication=True,
    )


def peer_identities(auth_context: object) -> frozenset[str]:
    """The subject alternative names of a gRPC peer's certificate."""
    names = (
        auth_context.get("x509_subject_alternative_name", ())
        if isinstance(auth_context, dict)
        else ()
    )
    return frozenset(name.decode(errors="replace") for name in names)
