"""Between the messages of fleet.proto and the values of the ports."""

from callfleet.v1 import fleet_pb2
from callfleet_operator.ports.pods import PodFigures, PodState, PodTarget, Slo

_TO_WIRE = {
    PodState.SERVING: fleet_pb2.POD_STATE_SERVING,
    PodState.DRAINING: fleet_pb2.POD_STATE_DRAINING,
}


def intent(target: PodTarget, epoch: int, correlation_id: str) -> fleet_pb2.PodIntent:
    return fleet_pb2.PodIntent(
        correlation_id=correlation_id,
        epoch=epoch,
        state=_TO_WIRE[target.state],
        row_confirmed_inactive=target.row_confirmed_inactive,
        pod_uid=target.uid,
    )


def figures(report: fleet_pb2.PodReport, now: float) -> PodFigures:
    """A report as the core sees it. A state that we do not know counts as serving."""
    draining = report.state == fleet_pb2.POD_STATE_DRAINING
    slo = report.slo
    return PodFigures(
        uid=report.pod_uid,
        state=PodState.DRAINING if draining else PodState.SERVING,
        calls=report.calls,
        capacity=report.capacity,
        terminating=report.terminating,
        revision=report.revision,
        received_at=now,
        slo=Slo(
            calls_offered=slo.calls_offered,
            calls_answered=slo.calls_answered,
            calls_refused=slo.calls_refused,
            calls_failed=slo.calls_failed,
            provider_errors=slo.provider_errors,
            turns=slo.turns,
            workers_lost=slo.workers_lost,
            response_counts=tuple(slo.response_counts),
            response_limits_ms=tuple(slo.response_limits_ms),
            started_unix_ms=slo.started_unix_ms,
        ),
    )
