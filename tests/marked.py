"""Marked secrets that go into calls and requests, and what is watched for them in this process."""

import io
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from callfleet_agent.app import logs
from callfleet_agent.banking.demo_bank import DemoCard, DemoCustomer
from callfleet_agent.banking.port import CardStatus
from callfleet_agent.tracing import use_tracer
from callfleet_agent.tracing.otel import OtelTracer

CALLER: Final = "+4915199887766"
DISPLAY: Final = "Zebulon Quarkheim"
HEADER: Final = "tk_live_hG7rQ2mZx9"
NUMBER: Final = "739518"  # the customer's
CARD: Final = "8306"
SPOKEN: Final = "eight three zero six"
BIRTH: Final = "1980-02-29"
REFERENCE: Final = "c-zebulon-1"
CODE: Final = "506274"  # sent by the bank
SPOKEN_CODE: Final = "five zero six two seven four"
SPOKEN_BIRTH: Final = "the twenty ninth of february nineteen eighty"
SAID: Final = "my mother's name is Wilhelmina"
MODEL_SAID: Final = "Theodolinda is a name"
SECRETS: Final = {
    "caller id": CALLER.removeprefix("+"),
    "display name": DISPLAY,
    "SIP header": HEADER,
    "customer number": NUMBER,
    "card digits": CARD,
    "spoken digits": SPOKEN,
    "date of birth": BIRTH,
    "keyed date of birth": "29021980",
    "date of birth with the month first": "02291980",
    "spoken date of birth": SPOKEN_BIRTH,
    "date of birth as it is read back": "February the twenty-ninth, nineteen eighty",
    "one-time code": CODE,
    "spoken code": SPOKEN_CODE,
    "the bank's reference": REFERENCE,
    "what was said": SAID,
    "a word of it": "Wilhelmina",
    "what a model says": MODEL_SAID,
}
CUSTOMER = DemoCustomer(
    REFERENCE, NUMBER, CARD, CARD, CALLER, DemoCard(CardStatus.SHIPPED), birth=BIRTH
)


@contextmanager
def everything_logged() -> Iterator[io.StringIO]:
    """What this process logs, from DEBUG on."""
    root, stream = logging.getLogger(), io.StringIO()
    handlers, level = root.handlers[:], root.level
    logs.configure("test", "DEBUG", stream=stream)
    yield stream
    root.handlers[:] = handlers
    root.setLevel(level)


@contextmanager
def spans_kept() -> Iterator[InMemorySpanExporter]:
    """The spans of this process."""
    exporter = InMemorySpanExporter()
    tracing = OtelTracer("test", SimpleSpanProcessor(exporter))
    before = use_tracer(tracing)
    yield exporter
    use_tracer(before)
    tracing.close()


def traced(spans: InMemorySpanExporter) -> str:
    """All of them, as text."""
    found = spans.get_finished_spans()
    assert found
    return "\n".join(span.to_json() for span in found)
