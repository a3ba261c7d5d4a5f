"""The process's tracer. It is set once, before the first call."""

from callfleet_agent.tracing.spans import NoTracer, Tracer

_tracer: Tracer = NoTracer()


def tracer() -> Tracer:
    """The tracer."""
    return _tracer


def use_tracer(wanted: Tracer) -> Tracer:
    """Trace with this one from now on; what was used before."""
    global _tracer
    before, _tracer = _tracer, wanted
    return before
