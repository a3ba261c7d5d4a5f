"""The id that ties a request to its log lines: a UUID, given by the client or made here."""

from typing import Final
from uuid import UUID, uuid4

from callfleet_agent.tracing.correlation import correlated, current, current_session, is_about

__all__ = ["METADATA", "adopted", "correlated", "current", "current_session", "is_about"]
METADATA: Final = "x-correlation-id"


def adopted(given: object) -> str:
    """The client's id when it is a UUID, else a new one: what a client sends goes into logs."""
    try:
        return str(UUID(given)) if isinstance(given, str) and len(given) == 36 else str(uuid4())
    except ValueError:
        return str(uuid4())
