"""Contexts in PostgreSQL."""

from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Row, delete, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from callfleet_agent.context.conversation import ConversationContext, Exchange, Speaker
from callfleet_agent.context.store import Merge
from callfleet_agent.storage.database import Database
from callfleet_agent.storage.requests import applied_version, remember
from callfleet_agent.storage.sealing import Sealer
from callfleet_agent.storage.sessions import hold_active
from callfleet_agent.storage.tables import conversation_contexts

_COLUMNS = tuple(conversation_contexts.c)
PLACE: Final = "conversation_contexts"


class PostgresContexts:
    """ContextReader and ContextWriter on PostgreSQL."""

    def __init__(self, database: Database, sealer: Sealer) -> None:
        self._database = database
        self._sealer = sealer

    async def apply(
        self, empty: ConversationContext, request_id: UUID | None, merge: Merge
    ) -> ConversationContext:
        """Merge under a lock of the row."""
        session_id = empty.session_id
        async with self._database.transaction() as connection:
            await hold_active(connection, session_id)
            await connection.execute(
                insert(conversation_contexts)
                .values(self._values(empty))
                .on_conflict_do_nothing(index_elements=["session_id"])
            )
            before = self._context(
                (await connection.execute(_of_session(session_id).with_for_update())).one()
            )
            if request_id and await applied_version(connection, session_id, request_id) is not None:
                return before
            after = merge(before)
            await self._write(connection, after)
            if request_id:
                await remember(connection, session_id, request_id, after.version)
            return after

    async def _write(self, connection: AsyncConnection, context: ConversationContext) -> None:
        await connection.execute(
            update(conversation_contexts)
            .where(conversation_contexts.c.session_id == context.session_id)
            .values(self._values(context))
        )

    async def remove(self, session_id: UUID, *, dry_run: bool) -> int:
        """Remove the context of a session."""
        return await self._remove(conversation_contexts.c.session_id == session_id, dry_run=dry_run)

    async def remove_expired(self, now: datetime, *, dry_run: bool) -> int:
        """Remove the contexts whose time is over."""
        return await self._remove(conversation_contexts.c.expires_at <= now, dry_run=dry_run)

    async def _remove(self, which: Any, *, dry_run: bool) -> int:
        async with self._database.transaction() as connection:
            if dry_run:
                counted = select(func.count()).select_from(conversation_contexts).where(which)
                return int((await connection.execute(counted)).scalar_one())
            return (await connection.execute(delete(conversation_contexts).where(which))).rowcount

    async def of_session(self, session_id: UUID) -> ConversationContext | None:
        """The context, expired or not."""
        async with self._database.transaction() as connection:
            row = (await connection.execute(_of_session(session_id))).first()
        return None if row is None else self._context(row)

    def _values(self, context: ConversationContext) -> dict[str, Any]:
        history = [exchange_as_json(exchange) for exchange in context.history]
        of, seal = context.session_id, self._sealer.seal
        return {
            "context_id": context.context_id,
            "session_id": of,
            "conversation_history": seal(history, place("conversation_history", of)),
            "current_intent": context.current_intent,
            "customer_data": seal(dict(context.customer_data), place("customer_data", of)),
            "last_updated": context.last_updated,
            "expires_at": context.expires_at,
            "version": context.version,
        }

    def _context(self, row: Row[Any]) -> ConversationContext:
        of, opened = row.session_id, self._sealer.open
        history = opened(row.conversation_history, place("conversation_history", of))
        return ConversationContext(
            context_id=row.context_id,
            session_id=of,
            last_updated=row.last_updated,
            expires_at=row.expires_at,
            history=tuple(exchange_of_json(exchange) for exchange in history),
            current_intent=row.current_intent or "",
            customer_data=opened(row.customer_data, place("customer_data", of)),
            version=row.version,
        )


def place(column: str, session_id: UUID) -> str:
    """What a sealed column is bound to."""
    return f"{PLACE}.{column}|{session_id}"


def exchange_as_json(exchange: Exchange) -> dict[str, Any]:
    """An exchange as it is sealed."""
    return {
        "speaker": exchange.speaker,
        "content": exchange.content,
        "at": exchange.at.isoformat() if exchange.at else None,
        "turn": exchange.turn,
        "interrupted": exchange.interrupted,
    }


def exchange_of_json(data: dict[str, Any]) -> Exchange:
    """The exchange that was sealed."""
    return Exchange(
        speaker=Speaker(data["speaker"]),
        content=data["content"],
        at=datetime.fromisoformat(data["at"]) if data["at"] else None,
        turn=data["turn"],
        interrupted=data["interrupted"],
    )


def _of_session(session_id: UUID) -> Any:
    return select(*_COLUMNS).where(conversation_contexts.c.session_id == session_id)
