"""How a pool is reached, and by whom."""

from typing import Any

from callfleet_operator.model import ProviderPool
from callfleet_operator.resources import Manifest
from callfleet_operator.resources.engines import PLAIN_WIRE, Server
from callfleet_operator.resources.engines.vllm import MASTER_PORT
from callfleet_operator.resources.names import AGENT_LABEL

from .facts import PoolFacts
from .names import (
    LOADER_PORT,
    METRICS_PORT,
    PROBE_PORT,
    metadata,
    object_name,
    peers_name,
    selector_labels,
)


def service(pool: ProviderPool, server: Server) -> Manifest:
    """One address for HTTP. For gRPC, whose connections stay, every pod's: clients balance."""
    ports = [_port("grpc" if server.secure else "http", server.wire.port)]
    if server.plain is not None:
        ports.append(_port("grpc-plain", server.plain.port))
    if server.http_port != server.wire.port:
        ports.append(_port("http", server.http_port))
    spec: dict[str, Any] = {"type": "ClusterIP", "selector": _selected(pool), "ports": ports}
    if server.secure:
        spec["clusterIP"] = "None"
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata(pool, object_name(pool.metadata.name)),
        "spec": spec,
    }


def peers(pool: ProviderPool) -> Manifest:
    """Names of the pods of several nodes, before they are ready: they must find each other."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata(pool, peers_name(pool.metadata.name)),
        "spec": {
            "type": "ClusterIP",
            "clusterIP": "None",
            "publishNotReadyAddresses": True,
            "selector": selector_labels(pool),
            "ports": [_port("master", MASTER_PORT)],
        },
    }


def service_account(pool: ProviderPool) -> Manifest:
    """An identity without any right and without a token."""
    return {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": metadata(pool, object_name(pool.metadata.name)),
        "automountServiceAccountToken": False,
    }


def metrics_port(server: Server) -> tuple[str, int]:
    """Name and number of the port with metrics and no requests: the engine's own, or the probe's
    beside it.
    """
    return ("http", server.http_port) if server.ready else ("metrics", METRICS_PORT)


def network_policy(pool: ProviderPool, server: Server, facts: PoolFacts) -> Manifest:
    """Requests from agents of the namespace, metrics for the cluster, figures for the operator."""
    agents = {"podSelector": {"matchExpressions": [{"key": AGENT_LABEL, "operator": "Exists"}]}}
    operator = {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": facts.namespace}}
    }
    scrapers: list[dict[str, Any]] = [
        {"namespaceSelector": {}},
        *({"ipBlock": {"cidr": cidr}} for cidr in facts.metrics_cidrs),
    ]
    asked = [_tcp(server.wire.port)]
    if server.secure and (facts.plaintext or facts.plain_pods):
        asked.append(_tcp(PLAIN_WIRE.port))
    rules: list[dict[str, Any]] = [
        {"ports": asked, "from": [agents, operator]},
        {"ports": [_tcp(metrics_port(server)[1])], "from": scrapers},
        {"ports": [_tcp(PROBE_PORT), _tcp(LOADER_PORT)], "from": [operator]},
    ]
    if pool.spec.nodes is not None:
        rules.append({"from": [{"podSelector": {"matchLabels": selector_labels(pool)}}]})
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": metadata(pool, object_name(pool.metadata.name)),
        "spec": {
            "podSelector": {"matchLabels": selector_labels(pool)},
            "policyTypes": ["Ingress"],
            "ingress": rules,
        },
    }


def _selected(pool: ProviderPool) -> dict[str, str]:
    """Of several nodes only the first answers requests."""
    if pool.spec.nodes is None:
        return selector_labels(pool)
    first = f"{object_name(pool.metadata.name)}-0"
    return {**selector_labels(pool), "statefulset.kubernetes.io/pod-name": first}


def _port(name: str, number: int) -> dict[str, Any]:
    return {"name": name, "port": number, "targetPort": number, "protocol": "TCP"}


def _tcp(number: int) -> dict[str, Any]:
    return {"protocol": "TCP", "port": number}
