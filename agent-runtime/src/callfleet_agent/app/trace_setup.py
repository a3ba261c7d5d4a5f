"""Whether a process traces, as its environment says."""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

from callfleet_agent.app import logs
from callfleet_agent.app.errors import SettingsError
from callfleet_agent.tracing import NoTracer, Tracer, use_tracer

VARIABLE: Final = "CALLFLEET_TRACING"
_log = logging.getLogger(__name__)


@contextmanager
def traced(service: str, environment: Mapping[str, str]) -> Iterator[Tracer]:
    """The process traces within the block if it is told to; at its end what is left is sent.

    Raises:
        SettingsError: the variable is neither "otlp" nor "off", or the extra is not installed.
    """
    tracer = _tracer(service, environment)
    before = use_tracer(tracer)
    try:
        yield tracer
    finally:
        use_tracer(before)
        tracer.close()


def _tracer(service: str, environment: Mapping[str, str]) -> Tracer:
    wanted = environment.get(VARIABLE, "off").lower() or "off"
    if wanted == "off":
        return NoTracer()
    if wanted != "otlp":
        raise SettingsError(f'{VARIABLE} is "otlp" or "off"')
    try:
        from callfleet_agent.tracing.otel import otlp_tracer
    except ImportError as error:
        raise SettingsError(
            f"{VARIABLE}=otlp needs the extra: pip install 'callfleet-agent[tracing]'"
        ) from error
    _log.info("calls are traced", extra={"exporter": wanted})
    return otlp_tracer(service, logs.instance(environment))
