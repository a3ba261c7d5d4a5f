"""The pod of a pool: the loader, the engine, and a probe where the engine has none of its own."""

from typing import Any

from callfleet_operator.model import ProviderPool
from callfleet_operator.resources.engines import SERVERS, Launch, Server
from callfleet_operator.resources.names import GRPCS, SPEAKS
from callfleet_operator.resources.pod_template import TLS_DIR, USER_ID
from callfleet_operator.resources.quantities import canonical_quantity, canonical_resources

from .facts import Hardware, PoolFacts, hardware
from .names import (
    METRICS_PORT,
    PROBE_PORT,
    object_name,
    peers_name,
    selector_labels,
    served_name,
    tls_name,
)
from .names import labels as pool_labels
from .store import MOUNT, Store, credentials_volume, loader, store

_PROBE_EVERY_S = 5
_BEFORE_END_S, _SLACK_S = 5, 10
_SECURITY = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}


def server_of(pool: ProviderPool, facts: PoolFacts) -> Server:
    """What the pool's engine asks for."""
    spec = pool.spec
    return SERVERS[spec.engine](
        Launch(
            spec=spec,
            model=store(pool, facts).path,
            name=served_name(pool),
            gpus=hardware(spec, facts.pools).gpus,
            leader=leader(pool),
            plaintext=facts.plaintext,
        )
    )


def leader(pool: ProviderPool) -> str:
    """The name of the first pod of several nodes."""
    if pool.spec.nodes is None:
        return ""
    name = pool.metadata.name
    return f"{object_name(name)}-0.{peers_name(name)}.{pool.metadata.namespace}.svc"


def image_of(pool: ProviderPool, facts: PoolFacts) -> str:
    """Empty when nobody names one: `policies.pool_status` says so. The agent's own image has none
    of the engines, which are large, or under licences that do not mix.
    """
    return pool.spec.image or facts.pools.images.get(pool.spec.engine) or ""


def pod_template(pool: ProviderPool, facts: PoolFacts) -> dict[str, Any]:
    """Restricted pod security; requests that run end before the pod does."""
    spec, wares = pool.spec, hardware(pool.spec, facts.pools)
    server, place = server_of(pool, facts), store(pool, facts)
    containers = [_engine(pool, facts, server, wares)]
    if not server.ready:
        containers.append(_probe(pool, facts, server))
    pod: dict[str, Any] = {
        "serviceAccountName": object_name(pool.metadata.name),
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": _BEFORE_END_S + spec.drain_seconds + _SLACK_S,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER_ID,
            "runAsGroup": USER_ID,
            "fsGroup": USER_ID,
            "fsGroupChangePolicy": "OnRootMismatch",
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "initContainers": [loader(pool, facts, place) | {"securityContext": dict(_SECURITY)}],
        "containers": containers,
        "volumes": _volumes(pool, server, place),
        "topologySpreadConstraints": [_spread(pool)],
    }
    metadata: dict[str, Any] = {"labels": pool_labels(pool)}
    if server.secure:
        metadata["annotations"] = {SPEAKS: GRPCS}
    return {"metadata": metadata, "spec": pod | _placement(pool, wares)}


def _engine(
    pool: ProviderPool, facts: PoolFacts, server: Server, wares: Hardware
) -> dict[str, Any]:
    load_s = (pool.spec.model.load_seconds if pool.spec.model else None) or server.load_s
    port = server.http_port
    # A worker of several nodes has no HTTP port: only the first pod is asked whether it is ready.
    asked = pool.spec.nodes is None
    container: dict[str, Any] = {
        "name": "engine",
        "image": image_of(pool, facts),
        "imagePullPolicy": "IfNotPresent",
        "args": list(server.args),
        "env": [{"name": key, "value": value} for key, value in sorted(server.environment.items())],
        "ports": _ports(server),
        "resources": resources(server, wares),
        "lifecycle": {"preStop": _ending(server)},
        "securityContext": dict(_SECURITY),
        "volumeMounts": _mounts(server),
    }
    if server.command:
        container["command"] = list(server.command)
    if not asked:
        index = {"fieldPath": "metadata.labels['apps.kubernetes.io/pod-index']", "apiVersion": "v1"}
        container["env"].append({"name": "POD_INDEX", "valueFrom": {"fieldRef": index}})
        address = {"fieldPath": "status.podIP", "apiVersion": "v1"}
        container["env"].append({"name": "VLLM_HOST_IP", "valueFrom": {"fieldRef": address}})
        return container
    container["startupProbe"] = _get(server.health, port, failures=-(-load_s // _PROBE_EVERY_S))
    container["livenessProbe"] = _get(server.health, port, failures=6, every=10)
    if server.ready:
        container["readinessProbe"] = _get(server.ready, port, failures=2)
    return container


def _probe(pool: ProviderPool, facts: PoolFacts, server: Server) -> dict[str, Any]:
    """Asks the engine a real question before the pod is ready, measures, waits at the end; and has
    the engine's metrics on a port with nothing else.
    """
    options = {
        "--engine": str(pool.spec.engine),
        "--stage": str(pool.spec.capability),
        "--url": server.wire.url("127.0.0.1"),
        "--model": served_name(pool),
        "--http": f"0.0.0.0:{PROBE_PORT}",
        "--metrics": f"0.0.0.0:{METRICS_PORT}",
        "--drain-seconds": str(pool.spec.drain_seconds),
        "--running-metric": server.metrics.running,
    }
    container: dict[str, Any] = {
        "name": "probe",
        "image": facts.agent_image,
        "imagePullPolicy": facts.agent_image_pull_policy,
        "command": ["callfleet", "serve", "engine-probe"],
        "args": [part for pair in options.items() for part in pair],
        "ports": [
            {"name": "probe", "containerPort": PROBE_PORT, "protocol": "TCP"},
            {"name": "metrics", "containerPort": METRICS_PORT, "protocol": "TCP"},
        ],
        "resources": {
            "requests": {"cpu": "20m", "memory": "96Mi"},
            "limits": {"memory": "256Mi"},
        },
        "readinessProbe": _get("/readyz", PROBE_PORT, failures=2),
        "lifecycle": {"preStop": _ending(server)},
        "securityContext": dict(_SECURITY),
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],  # noqa: S108 - the pod's own
    }
    if pool.spec.nodes is not None:
        container["args"] += ["--only-index", "0"]
        index = {"fieldPath": "metadata.labels['apps.kubernetes.io/pod-index']", "apiVersion": "v1"}
        container["env"] = [{"name": "POD_INDEX", "valueFrom": {"fieldRef": index}}]
    return container


def _ending(server: Server) -> dict[str, Any]:
    """Before a container is told to end: a probe of ours answers when no request runs any more; a
    server of ours ends its streams by itself, once clients have heard that it goes.
    """
    if server.ready:
        return {"exec": {"command": ["sleep", str(_BEFORE_END_S)]}}
    return {"httpGet": {"path": "/drain", "port": PROBE_PORT, "scheme": "HTTP"}}


def _get(path: str, port: int, *, failures: int, every: int = _PROBE_EVERY_S) -> dict[str, Any]:
    return {
        "httpGet": {"path": path, "port": port, "scheme": "HTTP"},
        "periodSeconds": every,
        "timeoutSeconds": 5,
        "failureThreshold": failures,
    }


def _ports(server: Server) -> list[dict[str, Any]]:
    ports = [{"name": "http", "containerPort": server.http_port, "protocol": "TCP"}]
    for name, wire in (("grpc-plain", server.plain), ("grpc", server.wire)):
        if wire is not None and wire.port != server.http_port:
            ports.insert(0, {"name": name, "containerPort": wire.port, "protocol": "TCP"})
    return ports


def resources(server: Server, wares: Hardware) -> dict[str, Any]:
    """As the API server completes it: a limit alone is a request too, a GPU is both."""
    gpu = {wares.gpu.resource_name: str(wares.gpu.count)} if wares.gpu is not None else {}
    requests = {**server.requests, **wares.limits, **wares.requests, **gpu}
    limits = {**wares.limits, **gpu}
    result: dict[str, Any] = {"requests": canonical_resources(requests)}
    if limits:
        result["limits"] = canonical_resources(limits)
    return result


def _mounts(server: Server) -> list[dict[str, Any]]:
    folders = [
        {"name": _folder_name(folder), "mountPath": folder}
        for folder in (*server.folders, "/tmp")  # noqa: S108 - the pod's own
    ]
    mounts: list[dict[str, Any]] = [
        {"name": "model", "mountPath": MOUNT, "readOnly": True},
        *folders,
    ]
    if server.secure:
        mounts.append({"name": "tls", "mountPath": TLS_DIR, "readOnly": True})
    if server.shared_memory:
        mounts.append({"name": "shm", "mountPath": "/dev/shm"})  # noqa: S108
    return mounts


def _folder_name(folder: str) -> str:
    return folder.strip("/").replace("/", "-")


def _volumes(pool: ProviderPool, server: Server, place: Store) -> list[dict[str, Any]]:
    volumes: list[dict[str, Any]] = [{"name": "model", **place.volume}]
    volumes += [{"name": _folder_name(folder), "emptyDir": {}} for folder in server.folders]
    volumes.append({"name": "tmp", "emptyDir": {}})
    if server.shared_memory:
        memory = {"medium": "Memory", "sizeLimit": canonical_quantity(server.shared_memory)}
        volumes.append({"name": "shm", "emptyDir": memory})
    if server.secure:
        secret = {"secretName": tls_name(pool.metadata.name), "defaultMode": 0o440}
        volumes.append({"name": "tls", "secret": secret})
    credentials = credentials_volume(pool, place)
    if credentials is not None:
        volumes.append(credentials)
    return volumes


def _spread(pool: ProviderPool) -> dict[str, Any]:
    return {
        "maxSkew": 1,
        "topologyKey": "kubernetes.io/hostname",
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": selector_labels(pool)},
    }


def _placement(pool: ProviderPool, wares: Hardware) -> dict[str, Any]:
    """Where pods may run and how they get their images; empty fields are left out."""
    fields = {
        "nodeSelector": dict(wares.node_selector),
        "tolerations": [
            {
                key: value
                for key, value in item.model_dump(by_alias=True).items()
                if value not in ("", None)
            }
            for item in wares.tolerations
        ],
        "runtimeClassName": wares.runtime_class_name,
        "imagePullSecrets": [{"name": secret.name} for secret in pool.spec.image_pull_secrets],
    }
    return {name: value for name, value in fields.items() if value}
