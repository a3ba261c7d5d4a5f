"""What sessions need of a store."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol
from uuid import UUID

from callfleet_agent.session.record import CallSession

Step = Callable[[CallSession], CallSession]


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """By what a caller is found again; one of the two is set."""

    phone: str = field(default="", repr=False)
    sip_call_id: str = ""


class SessionWriter(Protocol):
    """The side that commands use. Raises StoreUnavailableError when the store cannot be reached."""

    async def create(self, session: CallSession) -> tuple[CallSession, bool]:
        """Record it; what is recorded under its id, and whether that is new.

        Raises:
            SessionExistsError: the id is that of another's session.
        """
        ...

    async def change(self, session_id: UUID, request_id: UUID | None, step: Step) -> CallSession:
        """Apply a step in one transaction, once for each request id; the session after it.

        Raises:
            SessionNotFoundError: there is no such session, or it is another's.
        """
        ...


class SessionReader(Protocol):
    """The side that queries use. A session of another owner is not there."""

    async def by_id(self, session_id: UUID) -> CallSession | None:
        """The session."""
        ...

    async def by_sip_call_id(self, sip_call_id: str) -> CallSession | None:
        """The newest session with this Call-ID."""
        ...

    async def last_before(
        self, caller: Caller, voice_agent: str, session_id: UUID | None, since: datetime
    ) -> CallSession | None:
        """The newest session of a caller with this agent that began after `since`, this one left
        out."""
        ...
