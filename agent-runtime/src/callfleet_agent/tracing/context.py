"""Which span the work of a task belongs to, as a W3C traceparent (Trace Context, 3.2)."""

import contextvars
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

HEADER: Final = "traceparent"
_FORM: Final = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
_current: contextvars.ContextVar[str] = contextvars.ContextVar("traceparent", default="")


def traceparent_of(given: object) -> str:
    """What somebody sent, if it is a traceparent of version 00; otherwise nothing."""
    return given if isinstance(given, str) and _FORM.fullmatch(given) else ""


@contextmanager
def continued(traceparent: str) -> Iterator[None]:
    """The work of this task, and of tasks that it starts, belongs to this span."""
    if not traceparent:
        yield
        return
    token = _current.set(traceparent)
    try:
        yield
    finally:
        _current.reset(token)


def current_traceparent() -> str:
    """The span that this task works for; empty while nobody traces."""
    return _current.get()


def trace_metadata() -> tuple[tuple[str, str], ...]:
    """The metadata of a request to another service."""
    traceparent = _current.get()
    return ((HEADER, traceparent),) if traceparent else ()
