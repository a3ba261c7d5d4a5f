"""What is asked about contexts."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from callfleet_agent.context.conversation import ConversationContext
from callfleet_agent.context.errors import ContextNotFoundError
from callfleet_agent.context.store import ContextReader


@dataclass(frozen=True, slots=True)
class ContextQueries:
    """The queries on one store."""

    store: ContextReader
    now: Callable[[], datetime]

    async def of_session(self, session_id: UUID, history_limit: int = 0) -> ConversationContext:
        """The context with its newest exchanges (0: all).

        Raises:
            ContextNotFoundError: there is none, or its time is over.
        """
        context = await self.store.of_session(session_id)
        if context is None or context.is_expired(self.now()):
            raise ContextNotFoundError
        return context.newest(history_limit)
