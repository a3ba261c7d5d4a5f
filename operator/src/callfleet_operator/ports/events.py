"""Events for people: what `kubectl describe` shows."""

from enum import StrEnum
from typing import Protocol

from callfleet_operator.ports.kinds import Manifest


class EventType(StrEnum):
    NORMAL = "Normal"
    WARNING = "Warning"


class Events(Protocol):
    """Never blocks and never fails: events that cannot be written are dropped, and counted."""

    def emit(
        self, regarding: Manifest, kind: EventType, reason: str, action: str, note: str
    ) -> None:
        """Equal events within some minutes become one with a count. No private data in `note`."""
        ...
