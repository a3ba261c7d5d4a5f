"""What a call tells of itself while it goes on: the seam between a call's path and its record.

Every method returns at once, waits for no store and never raises; what is told is delivered later,
in order, once.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

from callfleet_agent.session.record import CallSession, SessionStatus


class CallRecorder(Protocol):
    """Takes what is told of calls. `id` makes each record idempotent."""

    def call_started(self, session: CallSession) -> None:
        """A call was answered."""
        ...

    def turn_ended(self, session_id: UUID, record_id: UUID, turn: Mapping[str, Any]) -> None:
        """A turn is over: exchanges to add and facts to merge, as the context store takes them."""
        ...

    def call_ended(self, session_id: UUID, status: SessionStatus, at: datetime) -> None:
        """A call is over."""
        ...


class NoRecorder:
    """For an agent without stores: a laptop's."""

    def call_started(self, session: CallSession) -> None:
        """Nothing is kept."""

    def turn_ended(self, session_id: UUID, record_id: UUID, turn: Mapping[str, Any]) -> None:
        """Nothing is kept."""

    def call_ended(self, session_id: UUID, status: SessionStatus, at: datetime) -> None:
        """Nothing is kept."""
