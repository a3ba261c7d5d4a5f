"""Traces: their context, what spans may say, and that off means nothing."""

import time
from collections.abc import Iterator

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from callfleet_agent.app.errors import SettingsError
from callfleet_agent.app.trace_setup import traced
from callfleet_agent.app.traced_call import TracedCall
from callfleet_agent.tracing import (
    NO_SPAN,
    NoTracer,
    continued,
    current_traceparent,
    trace_metadata,
    traceparent_of,
    tracer,
    use_tracer,
)
from callfleet_agent.tracing.otel import OtelTracer, batched

PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.fixture
def spans() -> Iterator[InMemorySpanExporter]:
    exporter = InMemorySpanExporter()
    tracing = OtelTracer("test", SimpleSpanProcessor(exporter), {"instance": "pod-1"})
    before = use_tracer(tracing)
    yield exporter
    use_tracer(before)
    tracing.close()


def named(spans: InMemorySpanExporter) -> dict[str, ReadableSpan]:
    return {span.name: span for span in spans.get_finished_spans()}


@pytest.mark.parametrize(
    "text",
    [
        None, 5, "", "x", PARENT[:-1], PARENT + "0", PARENT.upper(), "01" + PARENT[2:],
        f"00-{'0' * 32}-00f067aa0ba902b7-01", f"00-{'a' * 32}-{'0' * 16}-01", PARENT + "\r\nX: y",
        PARENT + "\n",
    ],
)  # fmt: skip
def test_what_is_no_traceparent_is_nothing(text: object) -> None:
    assert traceparent_of(text) == ""


def test_the_context_goes_with_the_task_and_into_metadata() -> None:
    assert traceparent_of(PARENT) == PARENT
    assert trace_metadata() == ()
    with continued(PARENT):
        assert current_traceparent() == PARENT
        assert trace_metadata() == (("traceparent", PARENT),)
        with continued(""):
            assert current_traceparent() == PARENT
    assert current_traceparent() == ""


def test_a_span_continues_a_trace_and_says_only_what_it_may(spans: InMemorySpanExporter) -> None:
    span = tracer().begin("call", PARENT, 10.0)
    span.set("call.cause", "caller +15550123987 said 4271 4271")
    span.set("caller", "+15550123987")
    span.set("call.turns", 3)
    span.fail("no-worker")
    span.end(12.5)
    (found,) = spans.get_finished_spans()
    assert found.parent is not None
    assert f"{found.parent.span_id:016x}" == PARENT.split("-")[2]
    assert span.traceparent.split("-")[1] == PARENT.split("-")[1]
    assert dict(found.attributes or {}) == {
        "call.cause": "caller [number] said [number]", "call.turns": 3, "error.code": "no-worker",
    }  # fmt: skip
    assert (found.start_time, found.end_time) == (10 * 10**9, 12_500_000_000)
    assert not found.status.is_ok
    assert found.resource.attributes["service.instance.id"] == "pod-1"


def test_a_call_is_one_trace_with_turns_and_their_stages(spans: InMemorySpanExporter) -> None:
    now = [100.0]
    call = TracedCall("id-1", "", lambda: now[0])
    call.turn(
        {
            "turn": 1, "state": "identify", "result": "heard", "endpointing_ms": 200.0,
            "recognition_ms": 50.0, "dialog_ms": 10.0, "said": "four two seven one",
        }
    )  # fmt: skip
    call.interrupted()
    now[0] = 100.2
    call.heard(0.15)
    call.heard(0.3)  # nobody waits for it
    call.end({"ended_by": "caller", "cause": None, "turns": 1})
    found = named(spans)

    assert set(found) == {"call", "turn", "endpointing", "recognition", "dialog", "speech"}
    assert len({span.context.trace_id for span in found.values() if span.context}) == 1
    turn = found["turn"]
    assert turn.parent is not None
    assert found["call"].context is not None
    assert turn.parent.span_id == found["call"].context.span_id
    for stage in ("endpointing", "recognition", "dialog", "speech"):
        parent = found[stage].parent
        assert parent is not None
        assert turn.context is not None
        assert parent.span_id == turn.context.span_id
    times = {
        name: (round((span.start_time or 0) / 1e9, 2), round((span.end_time or 0) / 1e9, 2))
        for name, span in found.items()
        if name != "call"
    }
    assert times == {
        "turn": (99.79, 100.2), "endpointing": (99.79, 99.99), "recognition": (99.94, 99.99),
        "dialog": (99.99, 100.0), "speech": (100.05, 100.2),
    }  # fmt: skip
    assert dict(turn.attributes or {}) == {
        "turn.number": 1, "turn.state": "identify", "turn.result": "heard",
        "turn.interrupted": True,
    }  # fmt: skip


def test_a_turn_that_nobody_answers_ends_with_the_next_or_the_call(
    spans: InMemorySpanExporter,
) -> None:
    call = TracedCall("id-1", PARENT)
    call.turn({"turn": 1, "bank_ms": "slow"})
    call.turn({"turn": 2, "model_ms": 5})
    call.end({"turns": 2}, failed="media-timeout")
    turns = [span for span in spans.get_finished_spans() if span.name == "turn"]
    assert [dict(span.attributes or {})["turn.number"] for span in turns] == [1, 2]
    assert named(spans)["call"].status.is_ok is False


def test_off_means_nothing_and_costs_little() -> None:
    assert not tracer().on
    assert tracer().begin("x") is NO_SPAN
    fields = {"turn": 1, "endpointing_ms": 200.0, "recognition_ms": 50.0, "dialog_ms": 1.0}
    call = TracedCall("id-1", PARENT)
    assert call.traceparent == ""
    spent_us = []
    for _ in range(10):
        began = time.thread_time()  # what others compute meanwhile is not ours
        for _ in range(1_000):
            call.turn(fields)
            call.heard(0.1)
        spent_us.append((time.thread_time() - began) * 1_000)
    call.end({"turns": 1})
    assert min(spent_us) < 50  # a turn's, in microseconds; it is under 1 on an idle machine


def test_the_environment_switches_it_on(monkeypatch: pytest.MonkeyPatch) -> None:
    with traced("x", {}) as off:
        assert isinstance(off, NoTracer)
    with pytest.raises(SettingsError, match="otlp"), traced("x", {"CALLFLEET_TRACING": "jaeger"}):
        pass
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1")
    with traced("x", {"CALLFLEET_TRACING": "otlp"}) as on:
        assert on.on
        assert tracer() is on
    assert not tracer().on


def test_spans_are_sent_in_batches() -> None:
    exporter = InMemorySpanExporter()
    tracing = OtelTracer("test", batched(exporter))
    tracing.begin("a").end()
    tracing.close()
    assert [span.name for span in exporter.get_finished_spans()] == ["a"]
