"""What contexts need of a store."""

from collections.abc import Callable
from datetime import datetime
from typing import Protocol
from uuid import UUID

from callfleet_agent.context.conversation import ConversationContext

Merge = Callable[[ConversationContext], ConversationContext]


class ContextWriter(Protocol):
    """The side that commands use. Raises StoreUnavailableError when the store cannot be reached."""

    async def apply(
        self, empty: ConversationContext, request_id: UUID | None, merge: Merge
    ) -> ConversationContext:
        """Merge into the context of `empty`'s session, or into `empty` when there is none, in one
        transaction and once for each request id; the context after it.

        Raises:
            SessionNotFoundError: there is no such session, or it is another's.
            SessionEndedError: it has ended.
        """
        ...

    async def begin(self, empty: ConversationContext) -> None:
        """Have `empty` for its session, unless that has a context.

        Raises:
            SessionNotFoundError: there is no such session, or it is another's.
            SessionEndedError: it has ended.
        """
        ...

    async def lapse(self, session_id: UUID, expires_at: datetime) -> None:
        """Keep the context of a session no longer than until then; without one, nothing."""
        ...

    async def remove(self, session_id: UUID, *, dry_run: bool) -> int:
        """Remove the context of a session; how many it were."""
        ...

    async def remove_expired(self, now: datetime, *, dry_run: bool) -> int:
        """Remove the contexts whose time is over; how many it were."""
        ...


class ContextReader(Protocol):
    """The side that queries use. The context of another's session is not there."""

    async def of_session(self, session_id: UUID) -> ConversationContext | None:
        """The context, expired or not."""
        ...
