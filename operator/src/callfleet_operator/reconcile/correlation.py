"""The correlation id of the round that a task is in: every log line of it carries the same one."""

from contextvars import ContextVar

correlation_id: ContextVar[str] = ContextVar("callfleet_correlation_id", default="")
