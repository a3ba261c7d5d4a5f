"""Identities: a URI SAN (what programs check) and DNS SANs (what TLS libraries check)."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

OPERATOR_IDENTITY: Final = "spiffe://callfleet.io/operator"
OPERATOR_HOST: Final = "operator.callfleet.internal"


@dataclass(frozen=True, slots=True)
class Subject:
    """Who a certificate is for."""

    identity: str
    hosts: tuple[str, ...]


OPERATOR: Final = Subject(OPERATOR_IDENTITY, (OPERATOR_HOST,))


def agent_identity(namespace: str, agent: str) -> str:
    return f"spiffe://callfleet.io/ns/{namespace}/voiceagent/{agent}"


def agent_host(namespace: str, agent: str) -> str:
    """The DNS SAN of an agent's pods. It is never resolved: it names who must answer."""
    return f"{agent}.{namespace}.voiceagent.callfleet.internal"


def agent_subject(namespace: str, agent: str) -> Subject:
    return Subject(agent_identity(namespace, agent), (agent_host(namespace, agent),))


def service_subject(namespace: str, role: str, service: str) -> Subject:
    """A platform service, behind the Service of that name."""
    return Subject(
        f"spiffe://callfleet.io/ns/{namespace}/service/{role}", _hosts(namespace, service)
    )


def pool_subject(namespace: str, pool: str, service: str) -> Subject:
    """A pool's servers, behind the Service of that name."""
    return Subject(
        f"spiffe://callfleet.io/ns/{namespace}/providerpool/{pool}", _hosts(namespace, service)
    )


def client_subject(namespace: str, client: str) -> Subject:
    """A program that talks with the services."""
    return Subject(
        f"spiffe://callfleet.io/ns/{namespace}/client/{client}",
        (f"{client}.{namespace}.client.callfleet.internal",),
    )


def _hosts(namespace: str, service: str) -> tuple[str, ...]:
    """The names of a Service inside the cluster."""
    name = f"{service}.{namespace}.svc"
    return service, f"{service}.{namespace}", name, f"{name}.cluster.local"


# What tokens allow: scopes by audience. The services' policy asks for them.
AGENT_SCOPES: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "session-manager": ("sessions.read", "sessions.write"),
        "context-store": ("contexts.read", "contexts.write"),
        "banking": ("banking.authenticate", "banking.read", "banking.write"),
    }
)
CLIENT_SCOPES: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "ai-voice-connector": ("calls",),
        "vad": ("speech",),
        "asr": ("speech",),
        "tts": ("speech",),
        "llm": ("conversation",),
    }
)


def token_file(audience: str) -> str:
    """The file that an audience's token lies in, beside the certificate."""
    return f"token.{audience}"
