"""What is asked about sessions."""

from dataclasses import dataclass
from uuid import UUID

from callfleet_agent.session.errors import SessionNotFoundError
from callfleet_agent.session.record import CallSession
from callfleet_agent.session.store import SessionReader


@dataclass(frozen=True, slots=True)
class SessionQueries:
    """The queries on one store."""

    store: SessionReader

    async def by_id(self, session_id: UUID) -> CallSession:
        """Raises SessionNotFoundError."""
        return _found(await self.store.by_id(session_id))

    async def by_sip_call_id(self, sip_call_id: str) -> CallSession:
        """Raises SessionNotFoundError."""
        return _found(await self.store.by_sip_call_id(sip_call_id))


def _found(session: CallSession | None) -> CallSession:
    if session is None:
        raise SessionNotFoundError
    return session
