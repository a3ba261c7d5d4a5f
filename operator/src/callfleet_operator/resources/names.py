"""Names and labels of what belongs to an agent."""

from typing import Any

from callfleet_operator.model import API_VERSION, VoiceAgent

AGENT_LABEL = "callfleet.io/agent"
REVISION_LABEL = "callfleet.io/revision"
GATE = "callfleet.io/in-dispatcher"
# On pods of agents and of pools: what gRPC between them they know. Pods of former versions have
# none, and speak in the clear; they run on until their revision or their pool is rolled.
SPEAKS, GRPCS = "callfleet.io/speaks", "grpcs"
CONTROL_PORT, HTTP_PORT = 7443, 8080
FIRST_RTP_PORT, LAST_RTP_PORT = 20000, 20999


def service_name(agent: VoiceAgent) -> str:
    """The headless Service, the PDB, the NetworkPolicy and the ServiceAccount share the name."""
    return agent.metadata.name


def deployment_name(agent: VoiceAgent, revision: str) -> str:
    """Also the name of the ControllerRevision."""
    return f"{agent.metadata.name}-{revision}"


def settings_name(agent: VoiceAgent, revision: str) -> str:
    """The immutable ConfigMap with the settings of a revision."""
    return f"{agent.metadata.name}-{revision}-settings"


def live_name(agent: VoiceAgent) -> str:
    """The ConfigMap with what changes under running pods."""
    return f"{agent.metadata.name}-live"


def keys_secret_name(agent: VoiceAgent) -> str:
    """The Secret with the API keys of the providers."""
    return f"{agent.metadata.name}-providers"


def tls_secret_name(agent: VoiceAgent) -> str:
    """The Secret with the pods' certificate, which the operator's authority issues."""
    return f"{agent.metadata.name}-tls"


def tokens_secret_name(agent: VoiceAgent) -> str:
    """The Secret with the pods' tokens for the platform's services."""
    return f"{agent.metadata.name}-tokens"


def selector_labels(agent: VoiceAgent) -> dict[str, str]:
    """What selects all pods of an agent."""
    return {"app.kubernetes.io/name": "voiceagent", AGENT_LABEL: agent.metadata.name}


def labels(agent: VoiceAgent) -> dict[str, str]:
    """What every object of an agent carries."""
    return {**selector_labels(agent), "app.kubernetes.io/managed-by": "callfleet-operator"}


def revision_labels(agent: VoiceAgent, revision: str) -> dict[str, str]:
    """What every object of one revision carries."""
    return {**labels(agent), REVISION_LABEL: revision}


def selector_text(agent: VoiceAgent) -> str:
    """The selector as autoscalers read it from status."""
    return ",".join(f"{key}={value}" for key, value in sorted(selector_labels(agent).items()))


def metadata(agent: VoiceAgent, name: str, revision: str | None = None) -> dict[str, Any]:
    """Metadata of an object that belongs to an agent and ends with it."""
    return {
        "name": name,
        "namespace": agent.metadata.namespace,
        "labels": labels(agent) if revision is None else revision_labels(agent, revision),
        "ownerReferences": [
            {
                "apiVersion": API_VERSION,
                "kind": "VoiceAgent",
                "name": agent.metadata.name,
                "uid": agent.metadata.uid,
                "controller": True,
                "blockOwnerDeletion": True,
            }
        ],
    }
