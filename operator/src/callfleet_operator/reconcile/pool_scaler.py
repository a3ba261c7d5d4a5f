"""Writes spec.replicas of a pool that is scaled by calls, where nobody else does it."""

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from callfleet_operator.model import ProviderPool
from callfleet_operator.policies.pool_scaling import wanted_of_pool
from callfleet_operator.ports.clock import Clock
from callfleet_operator.ports.kinds import HORIZONTAL_POD_AUTOSCALER, PROVIDER_POOL
from callfleet_operator.ports.kube import Ref
from callfleet_operator.reconcile.applied import Applied

_log = logging.getLogger(__name__)

_LOOK_AGAIN_S = 5.0


@dataclass
class PoolScaler:
    """`calls(namespace, agents)` counts the calls of some agents."""

    applied: Applied
    clock: Clock
    calls: Callable[[str, Iterable[str]], int]
    _below_since: dict[Ref, float] = field(default_factory=dict)

    async def scale(self, ref: Ref, pool: ProviderPool, users: Iterable[str]) -> float | None:
        """Seconds until a scale-down that waits may be due; None without scaling of ours."""
        scaling = pool.spec.scaling
        if scaling is None or scaling.metric != "calls" or self._hpa_owns(ref):
            self.forget(ref)
            return None
        verdict = wanted_of_pool(
            scaling,
            pool.spec.replicas,
            self.calls(ref.namespace, users),
            self._below_since.get(ref),
            self.clock.monotonic(),
        )
        self.forget(ref)
        if verdict.below_since is not None:
            self._below_since[ref] = verdict.below_since
        if verdict.replicas != pool.spec.replicas:
            await self._write(ref, pool, verdict.replicas, verdict.reason)
        return _LOOK_AGAIN_S if verdict.below_since is not None else None

    def forget(self, ref: Ref) -> None:
        self._below_since.pop(ref, None)

    async def _write(self, ref: Ref, pool: ProviderPool, replicas: int, reason: str) -> None:
        live = self.applied.get(PROVIDER_POOL, ref.namespace, ref.name)
        version = live["metadata"]["resourceVersion"] if live is not None else ""
        patch = {"metadata": {"resourceVersion": version}, "spec": {"replicas": replicas}}
        await self.applied.patch(ref, patch)
        _log.info(
            "a pool was scaled",
            extra={
                "pool": ref.name,
                "namespace": ref.namespace,
                "replicas": replicas,
                "was": pool.spec.replicas,
                "reason": reason,
            },
        )

    def _hpa_owns(self, ref: Ref) -> bool:
        for autoscaler in self.applied.store.list(HORIZONTAL_POD_AUTOSCALER, ref.namespace):
            target = (autoscaler.get("spec") or {}).get("scaleTargetRef") or {}
            if (target.get("kind"), target.get("name")) == (PROVIDER_POOL.kind, ref.name):
                return True
        return False
