"""What is counted, for Prometheus and for the operator."""

import time
from dataclasses import fields

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from callfleet_agent.app.metrics import ANSWER_LIMITS_MS, AgentMetrics
from callfleet_agent.app.platform_metrics import PlatformMetrics
from callfleet_agent.app.stage_metrics import Breakers, Circuit, StageMetrics
from callfleet_agent.chain import Member, MemberSettings
from callfleet_agent.rtp import MediaStats
from callfleet_agent.session import EndedBy, Refusal, WorkerState


def stats(**given: float) -> MediaStats:
    values: dict[str, float | None] = {field.name: 0 for field in fields(MediaStats)}
    return MediaStats(**(values | given))  # type: ignore[arg-type]


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
    metrics.rtp_of_call(stats(lost=2, strangers=-1))
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


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def stages(registry: CollectorRegistry) -> StageMetrics:
    return StageMetrics(registry, Breakers(registry))


def test_a_turn_tells_of_each_of_its_stages(
    registry: CollectorRegistry, stages: StageMetrics
) -> None:
    stages.told(
        "turn",
        {
            "vad_ms": 96, "endpointing_ms": 200.0, "asr_first_ms": 900.0, "recognition_ms": 30,
            "dialog_ms": 0.4, "llm_first_ms": 90.0, "model_ms": 250.0, "bank_ms": "fast",
            "speech_ms": 700,
        },
    )  # fmt: skip
    stages.spoke(0.41, 0.02)
    stages.spoke(None, None)
    seconds = {
        stage: registry.get_sample_value("callfleet_stage_seconds_sum", {"stage": stage})
        for stage in (
            "vad",
            "endpointing",
            "asr_first",
            "asr_final",
            "llm_first",
            "llm",
            "tts_first",
        )
    }
    assert seconds == pytest.approx(
        {
            "vad": 0.096, "endpointing": 0.2, "asr_first": 0.9, "asr_final": 0.03,
            "llm_first": 0.09, "llm": 0.25, "tts_first": 0.02,
        }
    )  # fmt: skip
    count = registry.get_sample_value("callfleet_stage_seconds_count", {"stage": "bank"})
    assert count == 0
    assert registry.get_sample_value("callfleet_voice_to_voice_seconds_count") == 1


def test_an_interruption_by_voice_has_a_time_and_one_by_key_has_none(
    registry: CollectorRegistry, stages: StageMetrics
) -> None:
    stages.told("barge-in", {"heard_ms": 160})
    stages.told("barge-in", {"heard_ms": None})
    stages.told("provider_failed", {"heard_ms": 160})
    assert registry.get_sample_value("callfleet_barge_ins_total") == 2
    assert registry.get_sample_value("callfleet_barge_in_seconds_count") == 1


def test_the_line_of_a_call_that_had_sound(
    registry: CollectorRegistry, stages: StageMetrics
) -> None:
    stages.line(jitter_ms=4.0, lost=5, received=95)
    stages.line(jitter_ms=0.0, lost=-3, received=0)
    assert registry.get_sample_value("callfleet_rtp_loss_ratio_sum") == 0.05
    assert registry.get_sample_value("callfleet_rtp_jitter_seconds_sum") == 0.004
    assert registry.get_sample_value("callfleet_rtp_loss_ratio_count") == 1


def test_the_worst_breaker_of_the_living_workers_is_shown(
    registry: CollectorRegistry, stages: StageMetrics
) -> None:
    def shown(dependency: str) -> float | None:
        return registry.get_sample_value("callfleet_breaker_state", {"dependency": dependency})

    assert shown("asr") == Circuit.CLOSED
    stages.turn({"bank_circuit": "open", "worker_pid": 1})
    stages.turn({"bank_circuit": "half_open", "worker_pid": 2})
    assert shown("bank") == Circuit.OPEN
    stages.turn({"bank_circuit": "closed", "worker_pid": 1})
    assert shown("bank") == Circuit.HALF_OPEN
    assert stages.breakers is not None
    stages.breakers.forget(frozenset({1}))
    assert shown("bank") == Circuit.CLOSED
    stages.breakers.tell("bank", 1, "ajar")
    stages.breakers.tell("weather", 1, "open")
    assert shown("bank") == Circuit.CLOSED
    assert shown("weather") is None
    for worker in range(1000):
        stages.breakers.tell("llm", worker, "open")
    stages.breakers.forget(frozenset())
    assert shown("llm") == Circuit.CLOSED


class FakeGuarded:
    circuit = "closed"


def test_the_services_count_refusals_and_show_the_banks_breaker() -> None:
    metrics, bank = PlatformMetrics(), FakeGuarded()
    metrics.watch_bank(bank)
    metrics.identity_refused("TOKEN_EXPIRED")
    bank.circuit = "open"
    read = metrics.registry.get_sample_value
    assert read("callfleet_identities_refused_total", {"code": "TOKEN_EXPIRED"}) == 1
    assert read("callfleet_breaker_state", {"dependency": "bank"}) == Circuit.OPEN


def test_the_services_show_the_worst_breaker_of_a_chain_whoever_is_in_it() -> None:
    metrics = PlatformMetrics()
    members = [Member(MemberSettings(name=name)) for name in ("model", "rules")]
    metrics.watch_bank(FakeGuarded())
    metrics.watch_chain("llm", lambda: members)

    def shown() -> float | None:
        return metrics.registry.get_sample_value("callfleet_breaker_state", {"dependency": "llm"})

    assert shown() == Circuit.CLOSED
    for _ in range(5):
        members[0].breaker.failed(time.monotonic())
    assert shown() == Circuit.OPEN
    members[0].breaker.open_s = 0.0
    assert shown() == Circuit.HALF_OPEN
    members.clear()
    assert shown() == Circuit.CLOSED


def test_conversations_without_workers_have_stages_and_no_breakers_of_their_own() -> None:
    metrics = PlatformMetrics()
    metrics.watch_bank(FakeGuarded())
    metrics.stages().told("turn", {"dialog_ms": 1, "bank_circuit": "open", "worker_pid": 1})
    read = metrics.registry.get_sample_value
    assert read("callfleet_stage_seconds_count", {"stage": "llm_first"}) == 1
    assert read("callfleet_breaker_state", {"dependency": "bank"}) == Circuit.CLOSED


@pytest.mark.parametrize(
    ("told", "where", "reason"),
    [
        ("input:override", "input", "override"),
        ("tool:other_customer", "tool", "other_customer"),
        ("answer:number", "answer", "number"),
        ("answer:something new", "answer", "unknown"),
    ],
)
def test_what_is_guarded_is_counted_with_bounded_labels(
    registry: CollectorRegistry, stages: StageMetrics, told: str, where: str, reason: str
) -> None:
    stages.told("turn", {"guarded": told})
    stages.told("turn", {"guarded": "elsewhere:override"})
    labels = {"where": where, "reason": reason}
    assert registry.get_sample_value("callfleet_guarded_total", labels) == 1
    assert "elsewhere" not in generate_latest(registry).decode()


def test_a_model_that_gave_no_token_has_no_first_one(
    registry: CollectorRegistry, stages: StageMetrics
) -> None:
    stages.told("turn", {"model_ms": 2000.0, "dialog_ms": 0.4})
    assert registry.get_sample_value("callfleet_stage_seconds_count", {"stage": "llm_first"}) == 0
