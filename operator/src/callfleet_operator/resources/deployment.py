"""The Deployment of one revision."""

from callfleet_operator.model import VoiceAgent

from . import Manifest
from .names import REVISION_LABEL, deployment_name, metadata, selector_labels
from .revision import RenderedRevision


def deployment(
    agent: VoiceAgent, revision: str, content: RenderedRevision, replicas: int
) -> Manifest:
    """One for each revision: its template never changes, and the operator scales it."""
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": metadata(agent, deployment_name(agent, revision), revision),
        "spec": {
            "replicas": replicas,
            "revisionHistoryLimit": 0,
            "selector": {"matchLabels": {**selector_labels(agent), REVISION_LABEL: revision}},
            "strategy": {
                "type": "RollingUpdate",
                "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0},
            },
            "template": content.template,
        },
    }
