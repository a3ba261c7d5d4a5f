"""Names and labels of what belongs to a pool."""

from typing import Any

from callfleet_operator.model import API_VERSION, ProviderPool

POOL_LABEL = "callfleet.io/pool"
PROBE_PORT, LOADER_PORT, METRICS_PORT = 8081, 8082, 8083


def object_name(pool: str) -> str:
    """Deployment, Service and all others; not the pool's own, which an agent may have as well."""
    return f"{pool}-pool"


def peers_name(pool: str) -> str:
    """The headless Service by which the pods of several nodes find each other."""
    return f"{pool}-pool-peers"


def cache_name(pool: str) -> str:
    """The volume with the model."""
    return f"{pool}-pool-model"


def tls_name(pool: str) -> str:
    """The Secret with the certificate of a pool's servers."""
    return f"{pool}-pool-tls"


def host(pool: ProviderPool) -> str:
    """Where the pool's Service is reached inside the cluster."""
    return f"{object_name(pool.metadata.name)}.{pool.metadata.namespace}.svc"


def served_name(pool: ProviderPool) -> str:
    """The model's name in requests: what the pool says, else the pool's own."""
    named = pool.spec.model.name if pool.spec.model is not None else None
    return named or pool.metadata.name


def selector_labels(pool: ProviderPool) -> dict[str, str]:
    """What selects all pods of a pool."""
    return {"app.kubernetes.io/name": "providerpool", POOL_LABEL: pool.metadata.name}


def labels(pool: ProviderPool) -> dict[str, str]:
    """What every object of a pool carries."""
    return {**selector_labels(pool), "app.kubernetes.io/managed-by": "callfleet-operator"}


def selector_text(pool: ProviderPool) -> str:
    """The selector as autoscalers read it from status."""
    return ",".join(f"{key}={value}" for key, value in sorted(selector_labels(pool).items()))


def metadata(pool: ProviderPool, name: str) -> dict[str, Any]:
    """Metadata of an object that belongs to a pool and ends with it."""
    return {
        "name": name,
        "namespace": pool.metadata.namespace,
        "labels": labels(pool),
        "ownerReferences": [
            {
                "apiVersion": API_VERSION,
                "kind": "ProviderPool",
                "name": pool.metadata.name,
                "uid": pool.metadata.uid,
                "controller": True,
                "blockOwnerDeletion": True,
            }
        ],
    }
