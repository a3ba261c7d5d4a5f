"""The id that ties a request to its log lines: a UUID, given by the client or made here."""

import contextvars
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final
from uuid import UUID, uuid4

METADATA: Final = "x-correlation-id"
_current: contextvars.ContextVar[str] = contextvars.ContextVar("correlation_id", default="")


@contextmanager
def correlated(correlation_id: str) -> Iterator[None]:
    """Log lines of this task, and of tasks it starts, carry `correlation_id`."""
    token = _current.set(correlation_id)
    try:
        yield
    finally:
        _current.reset(token)


def current() -> str:
    """The id of what this task works on, empty outside of any."""
    return _current.get()


def adopted(given: object) -> str:
    """The client's id when it is a UUID, else a new one: what a client sends goes into logs."""
    try:
        return str(UUID(given)) if isinstance(given, str) and len(given) == 36 else str(uuid4())
    except ValueError:
        return str(uuid4())
