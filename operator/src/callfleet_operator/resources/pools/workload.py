"""The Deployment of a pool, or the StatefulSet when one server takes several nodes."""

from typing import Any

from callfleet_operator.model import ProviderPool
from callfleet_operator.resources import Manifest

from .facts import PoolFacts, hardware
from .names import metadata, object_name, peers_name, selector_labels
from .pod import pod_template

# A model of 20 minutes' loading is no failure; kstatus and `kubectl rollout status` read this.
PROGRESS_S = 7200


def workload(pool: ProviderPool, facts: PoolFacts) -> Manifest:
    """What runs the pool."""
    name = object_name(pool.metadata.name)
    common: dict[str, Any] = {
        "selector": {"matchLabels": selector_labels(pool)},
        "template": pod_template(pool, facts),
        "revisionHistoryLimit": 2,
    }
    if pool.spec.nodes is None:
        return {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": metadata(pool, name),
            "spec": {
                "replicas": pool.spec.replicas,
                "progressDeadlineSeconds": PROGRESS_S,
                "strategy": {"type": "RollingUpdate", "rollingUpdate": _rolling(pool, facts)},
                **common,
            },
        }
    return {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": metadata(pool, name),
        "spec": {
            "replicas": pool.spec.nodes * pool.spec.replicas,
            "serviceName": peers_name(pool.metadata.name),
            "podManagementPolicy": "Parallel",
            "updateStrategy": {"type": "RollingUpdate"},
            **common,
        },
    }


def _rolling(pool: ProviderPool, facts: PoolFacts) -> dict[str, int]:
    """A spare GPU is seldom there: an old replica goes first, and the agents' chains bridge it."""
    if hardware(pool.spec, facts.pools).gpus:
        return {"maxSurge": 0, "maxUnavailable": 1}
    return {"maxSurge": 1, "maxUnavailable": 0}


def disruption_budget(pool: ProviderPool) -> Manifest:
    """One replica at a time may go, also the only one: a drain of a node must come to an end."""
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": metadata(pool, object_name(pool.metadata.name)),
        "spec": {
            "maxUnavailable": 1,
            "selector": {"matchLabels": selector_labels(pool)},
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
        },
    }
