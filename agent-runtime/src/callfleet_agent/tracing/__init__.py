"""Traces: one for each call, with a span for each turn, stage and request.

Off unless CALLFLEET_TRACING is set; then spans go to an OTLP collector, as OpenTelemetry's own
environment variables say. Off, a call costs a few comparisons. The context travels as W3C's
traceparent: in gRPC's metadata, in the link's Hello, and in the SIP header of that name.
"""

from callfleet_agent.tracing.context import (
    HEADER,
    continued,
    current_traceparent,
    trace_metadata,
    traceparent_of,
)
from callfleet_agent.tracing.spans import NO_SPAN, NoTracer, Span, Tracer, Value
from callfleet_agent.tracing.switch import tracer, use_tracer

__all__ = [
    "HEADER", "NO_SPAN", "NoTracer", "Span", "Tracer", "Value", "continued",
    "current_traceparent", "trace_metadata", "traceparent_of", "tracer", "use_tracer",
]  # fmt: skip
