"""The ids that tie what a task does to its log lines."""

import contextvars
from collections.abc import Iterator
from contextlib import contextmanager

_current: contextvars.ContextVar[str] = contextvars.ContextVar("correlation_id", default="")
_session: contextvars.ContextVar[str] = contextvars.ContextVar("session_id", default="")


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


def is_about(session_id: str) -> None:
    """From here on log lines of this task, and of tasks it starts, carry the session's id."""
    _session.set(session_id)


def current_session() -> str:
    """The session that this task works on, empty where it is none or not known."""
    return _session.get()
