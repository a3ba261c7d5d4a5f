"""What changes contexts."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from callfleet_agent.context.conversation import (
    DEFAULT_TTL,
    Addition,
    ConversationContext,
    merged,
)
from callfleet_agent.context.store import ContextWriter


@dataclass(frozen=True, slots=True)
class ContextCommands:
    """The commands on one store."""

    store: ContextWriter
    now: Callable[[], datetime]
    new_id: Callable[[], UUID]

    async def begin(self, session_id: UUID) -> None:
        """Give a session an empty context, unless it has one."""
        await self.store.begin(self._empty(session_id, self.now()))

    async def lapse(self, session_id: UUID) -> None:
        """The session is over: its context is kept for the usual time at most."""
        await self.store.lapse(session_id, self.now() + DEFAULT_TTL)

    async def update(
        self, session_id: UUID, addition: Addition, request_id: UUID | None = None
    ) -> ConversationContext:
        """Add to a session's context, making it when there is none; once for each request id.

        Raises:
            VersionConflictError: another change came first.
            ContextTooLargeError: there would be too many facts.
        """
        now = self.now()

        def merge(before: ConversationContext) -> ConversationContext:
            return merged(before, addition, now)

        return await self.store.apply(self._empty(session_id, now), request_id, merge)

    async def remove(self, session_id: UUID, *, dry_run: bool = False) -> int:
        """Remove the context of a session; how many it were."""
        return await self.store.remove(session_id, dry_run=dry_run)

    async def remove_expired(self, *, dry_run: bool = False) -> int:
        """Remove the contexts whose time is over; how many it were."""
        return await self.store.remove_expired(self.now(), dry_run=dry_run)

    def _empty(self, session_id: UUID, now: datetime) -> ConversationContext:
        return ConversationContext(
            context_id=self.new_id(),
            session_id=session_id,
            last_updated=now,
            expires_at=now + DEFAULT_TTL,
        )
