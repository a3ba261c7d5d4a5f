"""How many pods there are, and which of them leave.

A Deployment's replicas are the pods that shall serve, those that drain, and those on nodes that do
not answer. It falls only by pods that are released: empty, out of the proxy, and of the lowest
deletion cost. Until then a draining pod can be taken back.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil

from callfleet_operator.model import VoiceAgentSpec
from callfleet_operator.model.voiceagent import Rollout

from .rollout import shares
from .views import PodView, Reports, Verdict, calls_of

# What a ReplicaSet deletes first, in classes: figures of calls would be a write for each call.
COST_RELEASED, COST_DRAINING, COST_SERVING = -100, 10, 100


@dataclass(frozen=True)
class Load:
    """The load of an agent. `below_since`: since when fewer pods would have sufficed."""

    calls: int
    capacity_per_pod: int
    below_since: float | None = None


@dataclass(frozen=True)
class ScaleVerdict(Verdict):
    """What spec.replicas should be."""

    replicas: int = 0
    below_since: float | None = None


def wanted_replicas(
    spec: VoiceAgentSpec, *, hpa_owns: bool, load: Load, now: float
) -> ScaleVerdict:
    """What our scaler would write to /scale; spec.replicas where it has no say."""
    if spec.scaling is None:
        return ScaleVerdict("Fixed", "spec.replicas says how many", spec.replicas)
    if hpa_owns:
        return ScaleVerdict("HpaOwns", "a HorizontalPodAutoscaler says how many", spec.replicas)
    if spec.replicas == 0:
        return ScaleVerdict("SwitchedOff", "spec.replicas is 0, which switches scaling off", 0)
    percent = spec.scaling.target_utilization_percent
    enough = ceil(load.calls * 100 / (load.capacity_per_pod * percent))
    needed = min(max(enough, spec.scaling.min_replicas), spec.scaling.max_replicas)
    message = f"{load.calls} calls at {percent} % of {load.capacity_per_pod} need {needed} pods"
    if needed >= spec.replicas:
        reason = "ScaleUp" if needed > spec.replicas else "Enough"
        return ScaleVerdict(reason, message, needed)
    since = load.below_since if load.below_since is not None else now
    if now - since < spec.scaling.scale_down_delay_seconds:
        return ScaleVerdict("ScaleDownDelayed", message, spec.replicas, since)
    return ScaleVerdict("ScaleDown", message, needed, since)


@dataclass(frozen=True)
class RevisionPlan(Verdict):
    """What becomes of the pods of one revision."""

    wanted: int = 0
    replicas: int = 0
    drain: tuple[str, ...] = ()
    take_back: tuple[str, ...] = ()
    release: tuple[str, ...] = ()
    deletion_costs: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class FleetPlan:
    """What becomes of the pods of an agent, by revision."""

    revisions: Mapping[str, RevisionPlan]

    @property
    def replicas(self) -> int:
        """Pods of all Deployments together."""
        return sum(plan.replicas for plan in self.revisions.values())

    @property
    def drain(self) -> tuple[str, ...]:
        """UIDs of pods that shall begin to leave."""
        return tuple(uid for plan in self.revisions.values() for uid in plan.drain)

    @property
    def take_back(self) -> tuple[str, ...]:
        """UIDs of draining pods that shall serve again."""
        return tuple(uid for plan in self.revisions.values() for uid in plan.take_back)

    @property
    def release(self) -> tuple[str, ...]:
        """UIDs of drained pods that nothing holds any more."""
        return tuple(uid for plan in self.revisions.values() for uid in plan.release)

    @property
    def deletion_costs(self) -> dict[str, int]:
        """The deletion cost that each pod should have, by UID."""
        costs: dict[str, int] = {}
        for plan in self.revisions.values():
            costs |= plan.deletion_costs
        return costs


def plan_fleet(
    wanted: int,
    current: str,
    pods: Sequence[PodView],
    reports: Reports,
    rollout: Rollout,
    now: float,
) -> FleetPlan:
    """A plan for each revision that is current or has pods."""
    return FleetPlan(
        {
            revision: plan_revision(
                share,
                [pod for pod in pods if pod.revision == revision],
                reports,
                drain_timeout_s=rollout.drain_timeout_seconds,
                max_surge=rollout.max_surge if revision == current else None,
                now=now,
            )
            for revision, share in shares(wanted, current, pods, rollout).items()
        }
    )


def plan_revision(
    wanted: int,
    pods: Sequence[PodView],
    reports: Reports,
    *,
    drain_timeout_s: float,
    now: float,
    max_surge: int | None = 1,
) -> RevisionPlan:
    """A plan for the pods of one revision, of which `wanted` shall serve.

    Pods of cordoned nodes serve on until others are confirmed in their place; up to `max_surge`
    pods are added for them. None is for a former revision, which gets no new pods at all.
    """
    existing = [pod for pod in pods if pod.exists]
    lost = [pod for pod in existing if pod.unreachable]
    draining = [pod for pod in existing if not pod.unreachable and pod.draining_since is not None]
    serving = [pod for pod in existing if not pod.unreachable and pod.draining_since is None]
    starting = any(not pod.containers_ready for pod in serving)
    take_back = _taken_back(wanted - len(serving), draining, reports)
    if max_surge is None:
        wanted = min(wanted, len(serving) + len(take_back))
    drain = _drained(wanted, serving, reports)
    cordoned = sum(1 for pod in serving if pod.cordoned and pod.uid not in drain)
    shall_serve = wanted + min(max_surge or 0, cordoned)
    release: tuple[str, ...] = ()
    stay = len(serving) - len(drain) + len(take_back)
    if stay >= shall_serve:  # else the Deployment counts a released pod as one that is wanted
        rest = [pod for pod in draining if pod.uid not in take_back]
        release = _released(rest, reports, now - drain_timeout_s, starting=starting)
    leaving = len(draining) + len(drain) - len(take_back) - len(release)
    costs = dict.fromkeys((pod.uid for pod in (*serving, *lost)), COST_SERVING)
    costs |= dict.fromkeys((pod.uid for pod in draining), COST_DRAINING)
    costs |= dict.fromkeys(take_back, COST_SERVING)
    costs |= dict.fromkeys(drain, COST_DRAINING) | dict.fromkeys(release, COST_RELEASED)
    reason, message = _summary(wanted, serving, drain, leaving)
    return RevisionPlan(
        reason,
        message,
        wanted=wanted,
        # Never fewer than there are: a Deployment that falls kills pods without asking.
        replicas=max(shall_serve + leaving + len(lost), len(existing) - len(release)),
        drain=drain,
        take_back=take_back,
        release=release,
        deletion_costs=costs,
    )


def _released(
    draining: Sequence[PodView], reports: Reports, overdue: float, *, starting: bool
) -> tuple[str, ...]:
    """Drained pods that may go. A ReplicaSet deletes pods that start before it looks at costs:
    while one starts, the drained ones wait, but not beyond the time of their drain.
    """
    return tuple(
        pod.uid
        for pod in draining
        if pod.gate is not True
        and (_is_overdue(pod, overdue) or (_is_empty(pod, reports) and not starting))
    )


def _is_overdue(pod: PodView, overdue: float) -> bool:
    return pod.draining_since is not None and pod.draining_since <= overdue


def _is_empty(pod: PodView, reports: Reports) -> bool:
    """It was told to drain and has no calls left, or it never served."""
    report = reports.get(pod.uid)
    if report is None:
        return not pod.containers_ready and pod.gate is None
    return report.heard and report.draining and report.calls == 0


def _taken_back(missing: int, draining: Sequence[PodView], reports: Reports) -> tuple[str, ...]:
    """Draining pods that serve again, before new ones are made: those with most calls first.

    Also those that are empty: a Deployment cannot fall by them while another pod is missing.
    """
    fit = [pod for pod in draining if not pod.cordoned and pod.containers_ready]
    fit.sort(key=lambda pod: (-calls_of(pod, reports), pod.created, pod.name))
    return tuple(pod.uid for pod in fit[: max(0, missing)])


def _drained(wanted: int, serving: Sequence[PodView], reports: Reports) -> tuple[str, ...]:
    """Surplus pods, and those of cordoned nodes in whose place others take calls already."""
    order = sorted(serving, key=lambda pod: _drain_order(pod, reports))
    stay = [pod for pod in order if not pod.cordoned]
    cordoned = [pod for pod in order if pod.cordoned]
    confirmed = sum(1 for pod in stay if pod.takes_calls)
    replaced = cordoned[: max(0, confirmed + len(cordoned) - wanted)]
    surplus = stay[: max(0, len(stay) - wanted)]
    return tuple(pod.uid for pod in (*replaced, *surplus))


def _drain_order(pod: PodView, reports: Reports) -> tuple[bool, int, float, str]:
    """Who leaves first: who does not run, has the fewest calls, is the youngest."""
    return (pod.containers_ready, calls_of(pod, reports), -pod.created, pod.name)


def _summary(
    wanted: int, serving: Sequence[PodView], drain: Sequence[str], leaving: int
) -> tuple[str, str]:
    there = len(serving) - len(drain)
    if there < wanted:
        return "ScalingUp", f"{there} of {wanted} wanted pods exist"
    if leaving:
        return "Draining", f"{leaving} pods wait for their calls to end"
    return "Steady", f"{wanted} pods are wanted and exist"
