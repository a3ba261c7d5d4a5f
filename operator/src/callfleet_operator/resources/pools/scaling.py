"""Autoscalers and monitors of a pool. They write spec.replicas of the pool, by its /scale.

keda.sh/docs, "ScaledObject specification" and "Prometheus"; kubernetes.io,
"HorizontalPodAutoscaler v2": a metric of pods, which an adapter for Prometheus must serve.
"""

from typing import Any

from callfleet_operator.model import API_VERSION, ProviderPool
from callfleet_operator.model.poolparts import PoolScaling
from callfleet_operator.resources import Manifest
from callfleet_operator.resources.engines import Server

from .facts import POD_MONITORS, SCALED_OBJECTS, PoolFacts
from .names import metadata, object_name, selector_labels
from .network import metrics_port

_NEVER = "1000000"


def autoscaler(pool: ProviderPool, server: Server, facts: PoolFacts) -> Manifest | None:
    """A ScaledObject where KEDA and its Prometheus are, else an HPA; None when nobody is asked."""
    scaling = pool.spec.scaling
    if scaling is None or scaling.metric != "engine":
        return None
    if with_keda(facts):
        return _scaled_object(pool, scaling, server, facts)
    return _horizontal(pool, scaling, server)


def with_keda(facts: PoolFacts) -> bool:
    """Whether KEDA can scale pools here."""
    return SCALED_OBJECTS in facts.definitions and facts.pools.prometheus_url is not None


def _horizontal(pool: ProviderPool, scaling: PoolScaling, server: Server) -> Manifest:
    """Running and waiting requests, each aimed at for itself: the higher answer counts. Colons
    are not in the names of an adapter's metrics.
    """
    aims = {server.metrics.running: scaling.target_concurrency, server.metrics.waiting: 1}
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": metadata(pool, object_name(pool.metadata.name)),
        "spec": {
            "scaleTargetRef": _target(pool),
            "minReplicas": max(1, scaling.min_replicas),
            "maxReplicas": scaling.max_replicas,
            "metrics": [
                {
                    "type": "Pods",
                    "pods": {
                        "metric": {"name": name.replace(":", "_")},
                        "target": {"type": "AverageValue", "averageValue": str(value)},
                    },
                }
                for name, value in aims.items()
            ],
            "behavior": {
                "scaleDown": {"stabilizationWindowSeconds": min(3600, scaling.idle_seconds)}
            },
        },
    }


def _scaled_object(
    pool: ProviderPool, scaling: PoolScaling, server: Server, facts: PoolFacts
) -> Manifest:
    """By the engine's requests; a call of an agent that uses the pool wakes one that sleeps."""
    namespace, name = pool.metadata.namespace, object_name(pool.metadata.name)
    pods = f'namespace="{namespace}",pod=~"{name}-.*"'
    requests = " + ".join(
        f'(sum({{__name__="{metric}",{pods}}}) or vector(0))'
        for metric in (server.metrics.running, server.metrics.waiting)
    )
    triggers = [_trigger(facts, requests, str(scaling.target_concurrency))]
    if scaling.min_replicas == 0 and facts.users:
        agents = "|".join(sorted(facts.users))
        calls = f'sum(callfleet_calls_active{{namespace="{namespace}",pod=~"({agents})-.*"}})'
        triggers.append(_trigger(facts, f"{calls} or vector(0)", _NEVER))
    return {
        "apiVersion": "keda.sh/v1alpha1",
        "kind": "ScaledObject",
        "metadata": metadata(pool, name),
        "spec": {
            "scaleTargetRef": _target(pool),
            "pollingInterval": 15,
            "cooldownPeriod": scaling.idle_seconds,
            "minReplicaCount": scaling.min_replicas,
            "maxReplicaCount": scaling.max_replicas,
            "triggers": triggers,
        },
    }


def _trigger(facts: PoolFacts, query: str, threshold: str) -> dict[str, Any]:
    return {
        "type": "prometheus",
        "metadata": {
            "serverAddress": str(facts.pools.prometheus_url),
            "query": query,
            "threshold": threshold,
            "activationThreshold": "0",
        },
    }


def _target(pool: ProviderPool) -> dict[str, str]:
    return {"apiVersion": API_VERSION, "kind": "ProviderPool", "name": pool.metadata.name}


def pod_monitor(pool: ProviderPool, server: Server, facts: PoolFacts) -> Manifest | None:
    """For the Prometheus operator, where its definition exists."""
    if POD_MONITORS not in facts.definitions:
        return None
    port, _ = metrics_port(server)
    return {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PodMonitor",
        "metadata": metadata(pool, object_name(pool.metadata.name)),
        "spec": {
            "selector": {"matchLabels": selector_labels(pool)},
            "podMetricsEndpoints": [{"port": port, "path": "/metrics", "interval": "15s"}],
        },
    }
