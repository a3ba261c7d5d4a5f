"""A pool that the operator runs, as the policies see it, from caches and never the network."""

import json
from collections.abc import Mapping
from typing import Any

from callfleet_operator.model import ProviderPool
from callfleet_operator.model.engines import OURS
from callfleet_operator.policies.pool_view import Loading, ManagedView, PoolPodView
from callfleet_operator.ports.kinds import NODE, POD, Manifest, name_of
from callfleet_operator.reconcile.applied import Applied
from callfleet_operator.reconcile.views import speaks_plain, timestamp
from callfleet_operator.resources.engines import PLAIN_WIRE, WIRES
from callfleet_operator.resources.pools.facts import PoolFacts, hardware
from callfleet_operator.resources.pools.names import host
from callfleet_operator.resources.pools.pod import image_of

_BEGINNING = ("ContainerCreating", "PodInitializing")
ENGINE_FAILED = "EngineFailed"  # `callfleet serve asr|tts`: callfleet_agent.app.last_words
_OVERDUE_S = 30.0  # past its grace period nobody ends it: its node is gone


def managed_view(pool: ProviderPool, facts: PoolFacts, applied: Applied, now: float) -> ManagedView:
    """What there is of a managed pool, before anything was asked of its pods. `now` is Unix time
    in seconds.
    """
    spec = pool.spec
    found = applied.of_pool(POD, pool.metadata.namespace, pool.metadata.name)
    pods = tuple(sorted((pod_view(pod, now) for pod in found), key=lambda pod: pod.name))
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
        endpoint=_endpoint(pool, found, now),
    )


def _endpoint(pool: ProviderPool, pods: list[Manifest], now: float) -> str:
    """With TLS, unless whoever is ready is of a version that has none."""
    ready = [pod for pod in pods if (seen := pod_view(pod, now)).ready and not seen.ending]
    old = bool(ready) and all(map(speaks_plain, ready))
    wire = PLAIN_WIRE if old and pool.spec.engine in OURS else WIRES[pool.spec.engine]
    return wire.url(host(pool))


def pod_view(pod: Manifest, now: float) -> PoolPodView:
    """A pod of a pool."""
    status = pod.get("status") or {}
    finished = status.get("phase") in ("Succeeded", "Failed")
    ends = timestamp(pod["metadata"].get("deletionTimestamp"))
    conditions = {item["type"]: item for item in status.get("conditions") or ()}
    scheduled = conditions.get("PodScheduled") or {}
    loading, reason, message = _loader(status)
    containers = status.get("containerStatuses") or ()
    return PoolPodView(
        name=name_of(pod),
        ip=str(status.get("podIP") or ""),
        ready=(conditions.get("Ready") or {}).get("status") == "True",
        ending=ends is not None or finished,
        leaving=ends is not None and not finished and now < ends + _OVERDUE_S,
        unschedulable=str(scheduled.get("message") or scheduled.get("reason") or "")
        if scheduled.get("status") == "False"
        else "",
        problem=_problem(status),
        said=_said(status),
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


def _said(status: Mapping[str, Any]) -> str:
    """The last words of a server of ours, in the form that only they have: what other programs
    write there may hold anything.
    """
    for container in status.get("containerStatuses") or ():
        for state in (container.get("state") or {}, container.get("lastState") or {}):
            reason, message = _last_words(str((state.get("terminated") or {}).get("message") or ""))
            if container.get("name") == "engine" and reason == ENGINE_FAILED:
                return message
    return ""


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
