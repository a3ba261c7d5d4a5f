"""What sessions need of a store."""

from collections.abc import Callable
from typing import Protocol
from uuid import UUID

from callfleet_agent.session.record import CallSession

Step = Callable[[CallSession], CallSession]


class SessionWriter(Protocol):
    """The side that commands use. Raises StoreUnavailableError when the store cannot be reached."""

    async def create(self, session: CallSession) -> tuple[CallSession, bool]:
        """Record it; what is recorded under its id, and whether that is new."""
        ...

    async def change(self, session_id: UUID, request_id: UUID | None, step: Step) -> CallSession:
        """Apply a step in one transaction, once for each request id; the session after it.

        Raises:
            SessionNotFoundError: there is no such session.
        """
        ...


class SessionReader(Protocol):
    """The side that queries use."""

    async def by_id(self, session_id: UUID) -> CallSession | None:
        """The session."""
        ...

    async def by_sip_call_id(self, sip_call_id: str) -> CallSession | None:
        """The newest session with this Call-ID."""
        ...
