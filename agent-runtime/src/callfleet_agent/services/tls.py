"""The pod's mTLS identity for the control stream: TLS 1.3, re-read when the files change.

gRPC's Python API has no minimum version. TLS 1.3 suites cannot be switched off in it, and suites of
TLS 1.2 can be named, so that the list is set to suites that this pod's kind of key cannot serve: a
client that does not know 1.3 finds no shared suite.
"""

import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import grpc
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from callfleet_agent.services.errors import TlsFilesError

OPERATOR_IDENTITY: Final = "spiffe://callfleet.io/operator"
_SUITES_OF_RSA: Final = "ECDHE-RSA-AES256-GCM-SHA384"
_SUITES_OF_ECDSA: Final = "ECDHE-ECDSA-AES256-GCM-SHA384"
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
            TlsFilesError: a file cannot be read.
        """
        try:
            return grpc.ssl_server_certificate_configuration(
                [(self.key.read_bytes(), self.certificate.read_bytes())],
                root_certificates=self.ca.read_bytes(),
            )
        except OSError as error:
            raise TlsFilesError(f"cannot read {error.filename}: {error.strerror}") from error


def server_credentials(files: TlsFiles) -> grpc.ServerCredentials:
    """Credentials that ask for a client certificate and follow a rotation of the files.

    Raises:
        TlsFilesError: the files are missing or no certificate.
    """
    first = files.read()
    _only_tls13(files.certificate)
    stamp = files.stamp()

    def reread() -> grpc.ServerCertificateConfiguration | None:
        nonlocal stamp
        try:
            if files.stamp() == stamp:
                return None
            fresh, stamp = files.read(), files.stamp()
        except (OSError, TlsFilesError):  # a Secret being swapped: the next handshake sees it
            _log.warning("the control identity cannot be read again, the former one stays")
            return None
        _log.info("the control identity was rotated")
        return fresh

    return grpc.dynamic_ssl_server_credentials(
        first,
        reread,  # type: ignore[arg-type]  # None means "as before", the stub does not know it
        require_client_authentication=True,
    )


def _only_tls13(certificate: Path) -> None:
    try:
        key = x509.load_pem_x509_certificate(certificate.read_bytes()).public_key()
    except ValueError as error:
        raise TlsFilesError(f"{certificate.name} is no certificate") from error
    unusable = _SUITES_OF_ECDSA if isinstance(key, RSAPublicKey) else _SUITES_OF_RSA
    os.environ["GRPC_SSL_CIPHER_SUITES"] = unusable


def peer_identities(auth_context: object) -> frozenset[str]:
    """The subject alternative names of a gRPC peer's certificate."""
    names = (
        auth_context.get("x509_subject_alternative_name", ())
        if isinstance(auth_context, dict)
        else ()
    )
    return frozenset(name.decode(errors="replace") for name in names)
