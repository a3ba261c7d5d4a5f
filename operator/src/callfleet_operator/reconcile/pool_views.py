"""A pool that the operator runs, as the policies see it, from caches and never the network."""

import json
from collections.abc import Mapping
from typing import Any

from callfleet_operator.model import ProviderPool
from callfleet_operator.policies.pool_view import Loading, ManagedView, PoolPodView
from callfleet_operator.ports.kinds import NODE, POD, Manifest, name_of
from callfleet_operator.reconcile.applied import Applied
from callfleet_operator.resources.engines import WIRES
from callfleet_operator.resources.pools.facts import PoolFacts, hardware
from callfleet_operator.resources.pools.names import host
from callfleet_operator.resources.pools.pod import image_of

_BEGINNING = ("ContainerCreating", "PodInitializing")


def managed_view(pool: ProviderPool, facts: PoolFacts, applied: Applied) -> ManagedView:
    """What there is of a managed pool, before anything was asked of its pods."""
    spec = pool.spec
    found = applied.of_pool(POD, pool.metadata.namespace, pool.metadata.name)
    pods = tuple(sorted((pod_view(pod) for pod in found), key=lambda pod: pod.name))
    gpu = hardware(spec, facts.pools).gpu
    resource = gpu.resource_name if gpu is not None else ""
    return ManagedView(
        image=image_of(pool, facts),
        replicas=sum(not pod.ending for pod in pods),
        pods=pods,
        profile_found=spec.profile is None or facts.pools.profile(spec.profile) is not None,
        path_allowed=_path_allowed(pool, facts),
        gpus=gpu.count if gpu is not None else 0,
        gpu_resource=resource,
        gpu_nodes=sum(_offers(node, resource) for node in applied.store.list(NODE)),
        endpoint=WIRES[spec.engine].url(host(pool)),
    )


def pod_view(pod: Manifest) -> PoolPodView:
    """A pod of a pool."""
    status = pod.get("status") or {}
    conditions = {item["type"]: item for item in status.get("conditions") or ()}
    scheduled = conditions.get("PodScheduled") or {}
    loading, reason, message = _loader(status)
    containers = status.get("containerStatuses") or ()
    return PoolPodView(
        name=name_of(pod),
        ip=str(status.get("podIP") or ""),
        ready=(conditions.get("Ready") or {}).get("status") == "True",
        ending=bool(pod["metadata"].get("deletionTimestamp"))
        or status.get("phase") in ("Succeeded", "Failed"),
        unschedulable=str(scheduled.get("message") or scheduled.get("reason") or "")
        if scheduled.get("status") == "False"
        else "",
        problem=_problem(status),
        restarts=sum(int(item.get("restartCount") or 0) for item in containers),
        loading=loading,
        reason=reason,
        message=message,
    )


def _loader(status: Mapping[str, Any]) -> tuple[Loading, str, str]:
    """The container that brings the model; its last words are in its termination message."""
    for container in status.get("initContainerStatuses") or ():
        if container.get("name") != "model":
            continue
        state = container.get("state") or {}
        ended = state.get("terminated") or (container.get("lastState") or {}).get("terminated")
        if "terminated" in state and state["terminated"].get("exitCode") == 0:
            return Loading.DONE, "", ""
        if ended is not None and ended.get("exitCode") != 0:
            return Loading.FAILED, *_last_words(str(ended.get("message") or ""))
        if "running" in state:
            return Loading.RUNNING, "", ""
    return Loading.WAITING, "", ""


def _last_words(text: str) -> tuple[str, str]:
    try:
        told = json.loads(text)
    except ValueError:
        return "", ""
    if not isinstance(told, dict):
        return "", ""
    return str(told.get("reason") or "")[:64], str(told.get("message") or "")[:300]


def _problem(status: Mapping[str, Any]) -> str:
    """Why a container does not come up, in the kubelet's word; the loader tells its own errors."""
    containers = [
        *(status.get("initContainerStatuses") or ()),
        *(status.get("containerStatuses") or ()),
    ]
    for container in containers:
        reason = str(((container.get("state") or {}).get("waiting") or {}).get("reason") or "")
        if reason and reason not in _BEGINNING:
            return reason
    return ""


def _path_allowed(pool: ProviderPool, facts: PoolFacts) -> bool:
    model = pool.spec.model
    if model is None or model.scheme != "file":
        return True
    path = (model.uri or "").removeprefix("file://").rstrip("/")
    allowed = (folder.rstrip("/") for folder in facts.pools.model_host_paths)
    return any(path == folder or path.startswith(f"{folder}/") for folder in allowed)


def _offers(node: Manifest, resource: str) -> bool:
    amounts = (node.get("status") or {}).get("allocatable") or {}
    return bool(resource) and str(amounts.get(resource, "0")) != "0"
