"""Writes spec.replicas where the agent asks for scaling and nobody else does it."""

import logging
from dataclasses import dataclass, field

from callfleet_operator.policies.scaling import Load, wanted_replicas
from callfleet_operator.policies.views import calls_of
from callfleet_operator.ports.clock import Clock
from callfleet_operator.ports.kinds import HORIZONTAL_POD_AUTOSCALER, VOICE_AGENT
from callfleet_operator.ports.kube import Ref
from callfleet_operator.reconcile.applied import Applied
from callfleet_operator.reconcile.facts import AgentFacts

_log = logging.getLogger(__name__)

_LOOK_AGAIN_S = 5.0


@dataclass
class Scaler:
    applied: Applied
    clock: Clock
    _below_since: dict[Ref, float] = field(default_factory=dict)

    async def scale(self, facts: AgentFacts) -> float | None:
        """Seconds until a scale-down that waits may be due; None without scaling of ours."""
        spec = facts.agent.spec
        if spec.scaling is None:
            return None
        if facts.refused:  # its calls end, and say nothing of how many pods it will need
            self.forget(facts.ref)
            return None
        calls = sum(calls_of(pod, facts.reports) for pod in facts.pods)
        load = Load(calls, spec.capacity.calls_per_pod, self._below_since.get(facts.ref))
        verdict = wanted_replicas(
            spec, hpa_owns=self._hpa_owns(facts.ref), load=load, now=self.clock.monotonic()
        )
        if verdict.below_since is None:
            self._below_since.pop(facts.ref, None)
        else:
            self._below_since[facts.ref] = verdict.below_since
        if verdict.replicas != spec.replicas:
            await self._write(facts, verdict.replicas, verdict.reason)
        return _LOOK_AGAIN_S if verdict.below_since is not None else None

    def forget(self, ref: Ref) -> None:
        self._below_since.pop(ref, None)

    async def _write(self, facts: AgentFacts, replicas: int, reason: str) -> None:
        live = self.applied.get(VOICE_AGENT, facts.ref.namespace, facts.ref.name)
        version = (live or facts.manifest)["metadata"]["resourceVersion"]
        patch = {"metadata": {"resourceVersion": version}, "spec": {"replicas": replicas}}
        await self.applied.patch(facts.ref, patch)
        _log.info(
            "an agent was scaled",
            extra={
                "agent": facts.ref.name,
                "namespace": facts.ref.namespace,
                "replicas": replicas,
                "reason": reason,
            },
        )

    def _hpa_owns(self, ref: Ref) -> bool:
        for autoscaler in self.applied.store.list(HORIZONTAL_POD_AUTOSCALER, ref.namespace):
            target = (autoscaler.get("spec") or {}).get("scaleTargetRef") or {}
            if (target.get("kind"), target.get("name")) == (VOICE_AGENT.kind, ref.name):
                return True
        return False
