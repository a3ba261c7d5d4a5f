"""What an identity may see of what is stored.

Agents and programs see what they made. The platform's own services that work for all of them see
everything, and so does the operator; a service is the platform's when it lives in the namespace of
the server's own certificate.
"""

from typing import Final

from cryptography import x509

from callfleet_agent.identity import TlsFiles
from callfleet_agent.services.actor import acting
from callfleet_agent.services.policy import identity_of
from callfleet_agent.session.access import Access, WhoAsks

SERVE_ALL: Final = frozenset({"session-manager", "llm", "banking"})


def access_of(uri: str, home: str) -> Access:
    """The access of an identity; `home` is the platform's namespace, empty when it has none."""
    identity = identity_of([uri])
    if identity is None:
        return Access("")
    is_ours = bool(home) and identity.namespace == home and identity.role in SERVE_ALL
    return Access(uri, everything=is_ours or identity.role == "operator")


def asking(home: str) -> WhoAsks:
    """The access of whoever the task at hand works for."""
    return lambda: access_of(acting(), home)


def own_namespace(files: TlsFiles) -> str:
    """The namespace in the certificate of this process, empty where it has none."""
    identity = identity_of(_names(files, x509.UniformResourceIdentifier))
    return identity.namespace if identity else ""


def own_host(files: TlsFiles) -> str:
    """The first DNS name in the certificate of this process, which all replicas of the service
    have; empty where it has none."""
    return next(iter(_names(files, x509.DNSName)), "")


def _names(
    files: TlsFiles, kind: type[x509.DNSName] | type[x509.UniformResourceIdentifier]
) -> list[str]:
    try:
        certificate = x509.load_pem_x509_certificate(files.certificate.read_bytes())
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (OSError, ValueError, x509.ExtensionNotFound):
        return []
    return list(names.get_values_for_type(kind))


def voice_agent_of(uri: str) -> str | None:
    """NAMESPACE/NAME of an agent's identity; None for any other."""
    identity = identity_of([uri])
    if identity is None or identity.role != "voiceagent":
        return None
    return f"{identity.namespace}/{uri.rpartition('/')[2]}"
