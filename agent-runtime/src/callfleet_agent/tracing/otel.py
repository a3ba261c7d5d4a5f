"""Spans with OpenTelemetry's SDK, which is installed with the extra `tracing`."""

from collections.abc import Mapping
from importlib.metadata import version
from typing import TYPE_CHECKING, Final

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.trace import NonRecordingSpan, SpanContext, Status, StatusCode, TraceFlags

from callfleet_agent.tracing.spans import Span, Value
from callfleet_operator.model.redaction import redacted

if TYPE_CHECKING:
    from opentelemetry.trace import Span as OtelApiSpan

ATTRIBUTES: Final = frozenset(
    {
        "call.id", "call.codec", "call.ended_by", "call.cause", "call.turns", "call.moved",
        "turn.number", "turn.state", "turn.result", "turn.interrupted", "stage",
        "rpc.method", "rpc.status", "actor", "error.code",
    }
)  # fmt: skip
"""What a span may say. None of these can hold anything of a caller."""


class OtelSpan:
    """A span of the SDK."""

    def __init__(self, span: "OtelApiSpan") -> None:
        self._span = span

    @property
    def traceparent(self) -> str:
        """See Span."""
        context = self._span.get_span_context()
        return f"00-{context.trace_id:032x}-{context.span_id:016x}-{int(context.trace_flags):02x}"

    def set(self, name: str, value: Value) -> None:
        """See Span."""
        if name in ATTRIBUTES:
            safe = redacted(value)[:256] if isinstance(value, str) else value
            self._span.set_attribute(name, safe)

    def fail(self, code: str) -> None:
        """See Span."""
        self.set("error.code", code)
        self._span.set_status(Status(StatusCode.ERROR))

    def end(self, at: float | None = None) -> None:
        """See Span."""
        self._span.end(None if at is None else int(at * 1e9))


class OtelTracer:
    """A tracer whose spans go to an exporter. What is sampled, and how long is waited before spans
    are sent, OpenTelemetry reads from its own environment variables."""

    on = True

    def __init__(
        self, service: str, processor: SpanProcessor, fixed: Mapping[str, str] | None = None
    ) -> None:
        about = {"service.name": service, "service.version": version("callfleet-agent")}
        instance = (fixed or {}).get("instance")
        about |= {"service.instance.id": instance} if instance else {}
        self._provider = TracerProvider(resource=Resource.create(about), shutdown_on_exit=False)
        self._provider.add_span_processor(processor)
        self._tracer = self._provider.get_tracer("callfleet")

    def begin(self, name: str, parent: str = "", at: float | None = None) -> Span:
        """See Tracer."""
        started = None if at is None else int(at * 1e9)
        return OtelSpan(self._tracer.start_span(name, _context(parent), start_time=started))

    def close(self) -> None:
        """See Tracer."""
        self._provider.shutdown()


def _context(parent: str) -> Context:
    if not parent:
        return Context()
    _, trace_id, span_id, flags = parent.split("-")
    known = SpanContext(
        int(trace_id, 16), int(span_id, 16), is_remote=True, trace_flags=TraceFlags(int(flags, 16))
    )
    return trace.set_span_in_context(NonRecordingSpan(known), Context())


def batched(exporter: SpanExporter) -> SpanProcessor:
    """Spans are sent by a thread; a collector that is away costs spans and nothing else."""
    return BatchSpanProcessor(exporter)


def otlp_tracer(service: str, fixed: Mapping[str, str] | None = None) -> OtelTracer:
    """Spans to the collector of OTEL_EXPORTER_OTLP_ENDPOINT, over gRPC."""
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter

    return OtelTracer(service, batched(OTLPSpanExporter()), fixed)
