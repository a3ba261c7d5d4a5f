"""ContextStoreService on commands and queries. Requests come validated from the edge."""

from typing import Any, Final

from callfleet.v1 import context_pb2
from callfleet_agent.context.commands import ContextCommands
from callfleet_agent.context.conversation import Addition, ConversationContext, Exchange
from callfleet_agent.context.queries import ContextQueries
from callfleet_agent.services.answers import context_message, moment
from callfleet_agent.services.inputs import reader_of
from callfleet_agent.services.inputs.contexts import (
    ContextChange,
    ContextKey,
    ContextRemoval,
    Message,
)

NAME: Final = "callfleet.v1.ContextStoreService"
READERS: Final = {
    f"/{NAME}/GetContext": reader_of(ContextKey),
    f"/{NAME}/UpdateContext": reader_of(ContextChange),
    f"/{NAME}/CleanupContext": reader_of(ContextRemoval),
}


class ContextStoreService:
    """The three RPCs."""

    def __init__(self, commands: ContextCommands, queries: ContextQueries) -> None:
        self._commands = commands
        self._queries = queries

    async def GetContext(self, given: ContextKey, _: Any) -> context_pb2.ConversationContext:  # noqa: N802
        """Read a context."""
        context = await self._queries.of_session(given.session_id, given.history_limit)
        return context_message(context)

    async def UpdateContext(self, given: ContextChange, _: Any) -> context_pb2.ContextResponse:  # noqa: N802
        """Add to a context."""
        context = await self._commands.update(
            given.session_id, addition_of(given), given.request_id
        )
        return context_response(context)

    async def CleanupContext(self, given: ContextRemoval, _: Any) -> context_pb2.CleanupResponse:  # noqa: N802
        """Remove contexts."""
        if given.session_id is not None:
            removed = await self._commands.remove(given.session_id, dry_run=given.dry_run)
        else:
            removed = await self._commands.remove_expired(dry_run=given.dry_run)
        return context_pb2.CleanupResponse(removed=removed)


def addition_of(given: ContextChange) -> Addition:
    """What a request adds."""
    return Addition(
        append=tuple(map(exchange_of, given.append)),
        current_intent=given.current_intent,
        customer_data=given.customer_data,
        ttl=given.ttl,
        expected_version=given.expected_version,
    )


def exchange_of(message: Message) -> Exchange:
    """What a request says was said."""
    return Exchange(
        speaker=message.role,
        content=message.content,
        at=message.timestamp,
        turn=message.turn,
        interrupted=message.interrupted,
    )


def context_response(context: ConversationContext) -> context_pb2.ContextResponse:
    """A context's version and end."""
    return context_pb2.ContextResponse(
        session_id=str(context.session_id),
        context_id=str(context.context_id),
        version=context.version,
        expires_at=moment(context.expires_at),
    )
