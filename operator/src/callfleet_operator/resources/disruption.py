"""The PodDisruptionBudget of an agent."""

from callfleet_operator.model import VoiceAgent

from . import Manifest
from .names import metadata, selector_labels, service_name


def disruption_budget(agent: VoiceAgent, wanted: int) -> Manifest:
    """One pod may always go, also the only one: a drain of a node must come to an end.

    It counts pods that take calls (`minAvailable`), not those missing, because pods that drain
    would count as missing and forbid every eviction for as long as their calls last. Pods that are
    not ready may always go; what is in them ends by their grace period.
    """
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": metadata(agent, service_name(agent)),
        "spec": {
            "minAvailable": max(0, wanted - 1),
            "selector": {"matchLabels": selector_labels(agent)},
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
        },
    }
