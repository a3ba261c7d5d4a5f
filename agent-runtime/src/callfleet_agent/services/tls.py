"""The server's end of mTLS: TLS 1.3, a client's certificate required, files re-read when they
change.

gRPC's Python API has no minimum version. TLS 1.3 suites cannot be switched off in it, and suites of
TLS 1.2 can be named: the package's first import names one that only an RSA key can serve. A key of
another kind than EC is refused here, at the start and at a rotation, so that a client that does not
know 1.3 finds no shared suite, whatever certificate is given.
"""

import logging
from typing import Final

import grpc

from callfleet_agent.identity import TlsFiles, TlsFilesError

OPERATOR_IDENTITY: Final = "spiffe://callfleet.io/operator"
_log = logging.getLogger(__name__)


def server_credentials(files: TlsFiles) -> grpc.ServerCredentials:
    """Credentials that ask for a client certificate and follow a rotation of the files.

    Raises:
        TlsFilesError: the files are missing, unusable, or of a kind that allows TLS 1.2.
    """
    stamp = files.stamp()
    first = _configuration(files)

    def reread() -> grpc.ServerCertificateConfiguration | None:
        nonlocal stamp
        try:
            seen = files.stamp()  # before they are read: what changes meanwhile is read again
            if seen == stamp:
                return None
            fresh = _configuration(files)
        except TlsFilesError:  # a Secret being swapped: the next handshake sees it
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


def _configuration(files: TlsFiles) -> grpc.ServerCertificateConfiguration:
    given = files.contents()
    return grpc.ssl_server_certificate_configuration(
        [(given.key, given.certificate)], root_certificates=given.authority
    )


def peer_identities(auth_context: object) -> frozenset[str]:
    """The subject alternative names of a gRPC peer's certificate."""
    names = (
        auth_context.get("x509_subject_alternative_name", ())
        if isinstance(auth_context, dict)
        else ()
    )
    return frozenset(name.decode(errors="replace") for name in names)


def is_insecure(auth_context: object) -> bool:
    """Whether a gRPC peer came without TLS, by the word of the transport itself."""
    kinds = (
        auth_context.get("transport_security_type", ()) if isinstance(auth_context, dict) else ()
    )
    return list(kinds) == [b"insecure"]
