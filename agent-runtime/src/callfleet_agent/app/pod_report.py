"""What a pod tells of itself, and who waits for a change of it."""

import asyncio
from typing import Final

from callfleet.v1 import fleet_pb2
from callfleet_agent.app.metrics import ANSWER_LIMITS_MS, SloCounts
from callfleet_agent.app.settings import AgentSettings
from callfleet_agent.session import Drain, PodPhase

_STATES: Final = {
    PodPhase.SERVING: fleet_pb2.POD_STATE_SERVING,
    PodPhase.LEAVING: fleet_pb2.POD_STATE_SERVING,
    PodPhase.DRAINING: fleet_pb2.POD_STATE_DRAINING,
}


def pod_report(
    settings: AgentSettings, drain: Drain, slo: SloCounts, *, calls: int, now: float
) -> fleet_pb2.PodReport:
    """What the pod is at this moment."""
    return fleet_pb2.PodReport(
        pod_uid=settings.pod.uid,
        accepted_epoch=drain.epoch,
        state=_STATES[drain.phase(now=now)],
        calls=calls,
        capacity=settings.capacity,
        terminating=drain.terminated_at is not None,
        revision=settings.pod.revision,
        slo=fleet_pb2.Slo(
            calls_offered=slo.offered,
            calls_answered=slo.answered,
            calls_refused=slo.refused,
            calls_failed=slo.failed,
            provider_errors=slo.provider_errors,
            turns=slo.turns,
            response_counts=slo.answers,
            response_limits_ms=ANSWER_LIMITS_MS,
            workers_lost=slo.workers_lost,
            started_unix_ms=slo.started_unix_ms,
        ),
    )


class Changes:
    """A version that grows, and those who wait for the next one."""

    def __init__(self) -> None:
        self.version = 0
        self._waiters: set[asyncio.Future[None]] = set()

    async def since(self, version: int) -> None:
        """Return once `version` is no longer this one."""
        while self.version == version:
            waiter = asyncio.get_running_loop().create_future()
            self._waiters.add(waiter)
            try:
                await waiter
            finally:
                self._waiters.discard(waiter)

    def tell(self) -> None:
        """Something has changed."""
        self.version += 1
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)
