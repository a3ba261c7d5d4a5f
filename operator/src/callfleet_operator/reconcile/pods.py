"""What one reconcile does to the pods of an agent: annotations, gates, and the state they are
told.
"""

from dataclasses import dataclass
from typing import Any

from callfleet_operator.policies.drain import DrainFacts, DrainVerdict, drain_step
from callfleet_operator.policies.rows import GateVerdict, gate_verdicts
from callfleet_operator.policies.views import PodView, Seen
from callfleet_operator.ports.errors import ConflictError, NotFoundError
from callfleet_operator.ports.kinds import POD, Manifest
from callfleet_operator.ports.kube import Ref
from callfleet_operator.ports.pods import PodLink, PodState, PodTarget
from callfleet_operator.reconcile.applied import Applied
from callfleet_operator.reconcile.facts import AgentFacts
from callfleet_operator.reconcile.views import DELETION_COST, DRAINING_SINCE, GATE, rfc3339


@dataclass
class PodSteps:
    """`probe_interval_s` by proxy: how long a probe in flight can still undo a drain."""

    applied: Applied
    links: PodLink
    probe_interval_s: dict[str, float]

    async def take(self, facts: AgentFacts) -> float | None:
        """Does what is due now; answers the seconds until something else may be."""
        drains = {pod.uid: self._drain(facts, pod) for pod in facts.pods if leaves(facts, pod)}
        self.links.want(facts.ref.namespace, facts.ref.name, _targets(facts, drains))
        for pod in facts.pods:
            await self._annotate(facts, pod)
        for uid, verdict in gate_verdicts(facts.pods, facts.rows, facts.seen).items():
            await self._gate(facts, uid, verdict)
        waits = [verdict.again_after_s for verdict in drains.values()]
        return min((wait for wait in waits if wait is not None), default=None)

    def _drain(self, facts: AgentFacts, pod: PodView) -> DrainVerdict:
        uri = facts.uri_of(pod)
        seen = facts.seen.get(uri, Seen.UNKNOWN) if uri else Seen.ABSENT
        since = facts.out_since(pod)
        return drain_step(
            DrainFacts(
                pod=pod,
                report=facts.reports.get(pod.uid),
                seen=seen,
                inactive_since=since if uri else facts.now,
                probe_interval_s=self.probe_interval_s.get(facts.agent.spec.sip.proxy, 1.0),
                drain_timeout_s=facts.agent.spec.rollout.drain_timeout_seconds,
                now=facts.now,
            )
        )

    async def _annotate(self, facts: AgentFacts, pod: PodView) -> None:
        annotations: dict[str, str | None] = {}
        if pod.uid in facts.plan.drain and pod.draining_since is None:
            annotations[DRAINING_SINCE] = rfc3339(facts.now)
        if pod.uid in facts.plan.take_back and pod.draining_since is not None:
            annotations[DRAINING_SINCE] = None
        cost = facts.plan.deletion_costs.get(pod.uid, pod.deletion_cost)
        if cost != pod.deletion_cost:
            annotations[DELETION_COST] = str(cost)
        if annotations and not pod.finished:
            await self._patch(facts, pod.name, pod.uid, {"metadata": {"annotations": annotations}})

    async def _gate(self, facts: AgentFacts, uid: str, verdict: GateVerdict) -> None:
        pod = next(pod for pod in facts.pods if pod.uid == uid)
        if verdict.value is None or verdict.value == pod.gate or pod.finished:
            return
        condition: dict[str, Any] = {
            "type": GATE,
            "status": str(verdict.value),
            "lastTransitionTime": rfc3339(facts.now),
            "reason": verdict.reason,
            "message": verdict.message,
        }
        patch = {"status": {"conditions": [condition]}}
        await self._patch(facts, pod.name, uid, patch, subresource="status")

    async def _patch(
        self, facts: AgentFacts, name: str, uid: str, patch: Manifest, *, subresource: str = ""
    ) -> None:
        patch["metadata"] = {"uid": uid, **patch.get("metadata", {})}
        ref = Ref(POD, facts.ref.namespace, name)
        try:
            await self.applied.patch(ref, patch, subresource=subresource, strategic=True)
        except (NotFoundError, ConflictError):
            return  # it is gone, or another pod has its name: nothing to say to either


def leaves(facts: AgentFacts, pod: PodView) -> bool:
    """Whether a pod is on its way out, by our wish or by Kubernetes'."""
    if pod.finished:
        return False
    if pod.terminating_since is not None or pod.uid in facts.plan.drain or facts.deleting:
        return True
    return pod.draining_since is not None and pod.uid not in facts.plan.take_back


def _targets(facts: AgentFacts, drains: dict[str, DrainVerdict]) -> dict[str, PodTarget]:
    targets = {}
    for pod in facts.pods:
        if pod.ip is None or pod.finished:
            continue
        verdict = drains.get(pod.uid)
        told = verdict is not None and verdict.tell_draining
        targets[pod.uid] = PodTarget(
            uid=pod.uid,
            namespace=facts.ref.namespace,
            name=pod.name,
            agent=facts.ref.name,
            address=pod.ip,
            state=PodState.DRAINING if told else PodState.SERVING,
            row_confirmed_inactive=verdict is not None and verdict.row_confirmed_inactive,
        )
    return targets
