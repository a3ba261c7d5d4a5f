"""What is counted, for Prometheus and for the operator."""

from prometheus_client import generate_latest

from callfleet_agent.app.metrics import ANSWER_LIMITS_MS, AgentMetrics
from callfleet_agent.session import EndedBy, Refusal, WorkerState


def counted() -> AgentMetrics:
    metrics = AgentMetrics(capacity=20)
    metrics.call_offered()
    metrics.call_answered(0.004)
    metrics.call_refused(Refusal.FULL)
    metrics.call_refused(Refusal.NO_CODEC)
    metrics.call_ended(EndedBy.CALLER, 12.0)
    metrics.call_ended(EndedBy.FAILED, 1.0)
    metrics.turn_answered(100)
    metrics.turn_answered(650.5)
    metrics.turn_answered(9999)
    metrics.provider_failed()
    metrics.worker_lost()
    metrics.call_moved()
    metrics.workers_are({WorkerState.READY: 2})
    metrics.malformed.set(3)
    metrics.rtp_of_call(lost=2, strangers=-1)
    return metrics


def test_the_operator_gets_counts_that_only_grow() -> None:
    slo = counted().slo
    assert (slo.offered, slo.answered, slo.refused, slo.failed) == (1, 1, 1, 1)
    assert (slo.turns, slo.provider_errors, slo.workers_lost) == (3, 1, 1)
    assert len(slo.answers) == len(ANSWER_LIMITS_MS) + 1
    by_limit = dict(zip((*ANSWER_LIMITS_MS, None), slo.answers, strict=True))
    assert {limit: count for limit, count in by_limit.items() if count} == {
        100: 1,
        700: 1,
        None: 1,
    }


def test_prometheus_reads_them() -> None:
    text = generate_latest(counted().registry).decode()
    for line in (
        "callfleet_calls_offered_total 1.0",
        'callfleet_calls_refused_total{reason="full"} 1.0',
        'callfleet_calls_refused_total{reason="draining"} 0.0',
        'callfleet_calls_ended_total{by="caller"} 1.0',
        "callfleet_calls_capacity 20.0",
        'callfleet_workers{state="ready"} 2.0',
        'callfleet_workers{state="dead"} 0.0',
        "callfleet_sip_malformed_total 3.0",
        "callfleet_rtp_lost_total 2.0",
        "callfleet_rtp_dropped_total 0.0",
        "callfleet_answer_seconds_count 3.0",
    ):
        assert line in text.splitlines()
