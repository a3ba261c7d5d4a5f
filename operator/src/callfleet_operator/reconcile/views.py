"""Objects of the cluster as the policies see them."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from callfleet_operator.policies.views import PodView, ReportView, Seen
from callfleet_operator.ports.kinds import Manifest, name_of
from callfleet_operator.ports.pods import PodFigures, PodState
from callfleet_operator.ports.proxy import SeenState
from callfleet_operator.resources.names import GRPCS, SPEAKS

REVISION_LABEL = "callfleet.io/revision"
GATE = "callfleet.io/in-dispatcher"
DRAINING_SINCE = "callfleet.io/draining-since"
DELETION_COST = "controller.kubernetes.io/pod-deletion-cost"


def timestamp(text: str | None) -> float | None:
    """Unix time in seconds of an RFC 3339 text; None for nothing and for what is none."""
    if not text:
        return None
    try:
        return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()
    except ValueError:
        return None


def rfc3339(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def soonest(*seconds: float | None) -> float | None:
    """The first of several times to look again; None when there is none."""
    return min((each for each in seconds if each is not None), default=None)


def speaks_plain(pod: Manifest) -> bool:
    """Whether a pod of an agent or of a pool is of a version that knows no TLS between the two."""
    return (pod["metadata"].get("annotations") or {}).get(SPEAKS) != GRPCS


def pod_view(pod: Manifest, *, cordoned: bool) -> PodView:
    metadata = pod["metadata"]
    status = pod.get("status") or {}
    annotations = metadata.get("annotations") or {}
    conditions = {item["type"]: item["status"] for item in status.get("conditions") or ()}
    gate = conditions.get(GATE)
    return PodView(
        name=name_of(pod),
        uid=str(metadata["uid"]),
        revision=str((metadata.get("labels") or {}).get(REVISION_LABEL, "")),
        ip=status.get("podIP") or None,
        containers_ready=conditions.get("ContainersReady") == "True",
        ready=conditions.get("Ready") == "True",
        terminating_since=_terminating_since(metadata),
        finished=status.get("phase") in ("Succeeded", "Failed"),
        unreachable=conditions.get("Ready") == "Unknown" or status.get("reason") == "NodeLost",
        gate=None if gate is None else gate == "True",
        draining_since=timestamp(annotations.get(DRAINING_SINCE)),
        deletion_cost=_integer(annotations.get(DELETION_COST)),
        created=timestamp(metadata.get("creationTimestamp")) or 0.0,
        cordoned=cordoned,
        problem=_problem(status),
    )


def report_view(figures: PodFigures) -> ReportView:
    return ReportView(
        pod_uid=figures.uid,
        heard=figures.heard,
        draining=figures.answered and figures.state is PodState.DRAINING,
        calls=figures.calls,
        capacity=figures.capacity,
        terminating=figures.terminating,
    )


def seen_views(seen: Mapping[str, SeenState]) -> dict[str, Seen]:
    return {uri: Seen(state.value) for uri, state in seen.items()}


def _terminating_since(metadata: Mapping[str, Any]) -> float | None:
    """When deletion was asked for: the timestamp in the object is when its grace period ends."""
    ends = timestamp(metadata.get("deletionTimestamp"))
    if ends is None:
        return None
    return ends - float(metadata.get("deletionGracePeriodSeconds") or 0)


def _integer(text: str | None) -> int:
    try:
        return int(text or 0)
    except ValueError:
        return 0


def _problem(status: Mapping[str, Any]) -> str:
    """Why a pod does not come up, in the kubelet's or the scheduler's word."""
    for container in status.get("containerStatuses") or ():
        waiting = (container.get("state") or {}).get("waiting") or {}
        reason = str(waiting.get("reason") or "")
        if reason and reason not in ("ContainerCreating", "PodInitializing"):
            return reason
    for condition in status.get("conditions") or ():
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            return str(condition.get("reason") or "Unschedulable")
    return ""
