"""Contexts in PostgreSQL. The context of another's session is not there."""

from dataclasses import replace
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Row, and_, delete, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from callfleet_agent.context.conversation import ConversationContext, Exchange, Speaker
from callfleet_agent.context.store import Merge
from callfleet_agent.session.access import WhoAsks, upkeep
from callfleet_agent.storage.database import Database
from callfleet_agent.storage.requests import applied_version, remember
from callfleet_agent.storage.sealing import Sealer
from callfleet_agent.storage.sessions import hold_active, seen_by
from callfleet_agent.storage.tables import call_sessions, conversation_contexts

_COLUMNS = tuple(conversation_contexts.c)
PLACE: Final = "conversation_contexts"


class PostgresContexts:
    """ContextReader and ContextWriter on PostgreSQL."""

    def __init__(self, database: Database, sealer: Sealer, asks: WhoAsks = upkeep) -> None:
        self._database = database
        self._sealer = sealer
        self._asks = asks

    async def apply(
        self, empty: ConversationContext, request_id: UUID | None, merge: Merge
    ) -> ConversationContext:
        """Merge under a lock of the row."""
        session_id = empty.session_id
        async with self._database.transaction() as connection:
            owner = await hold_active(connection, session_id, self._asks())
            await self._insert(connection, empty)
            held = _of_session(session_id).with_for_update()
            before = self._context((await connection.execute(held)).one(), owner)
            if request_id and await applied_version(connection, session_id, request_id) is not None:
                return before
            after = merge(before)
            await self._write(connection, after)
            if request_id:
                await remember(connection, session_id, request_id, after.version)
            return after

    async def begin(self, empty: ConversationContext) -> ConversationContext | None:
        """Insert it for an active session; as it was, or None when there is one."""
        async with self._database.transaction() as connection:
            owner = await hold_active(connection, empty.session_id, self._asks())
            is_new = await self._insert(connection, empty)
            return replace(empty, owner=owner) if is_new else None

    async def _insert(self, connection: AsyncConnection, context: ConversationContext) -> bool:
        statement = (
            insert(conversation_contexts)
            .values(self._values(context))
            .on_conflict_do_nothing(index_elements=["session_id"])
        )
        return bool((await connection.execute(statement)).rowcount)

    async def lapse(self, session_id: UUID, expires_at: datetime) -> ConversationContext | None:
        """Bring the end nearer; the context that it was done to."""
        seen = select(call_sessions.c.session_id).where(seen_by(self._asks()))
        table = conversation_contexts.c
        statement = (
            update(conversation_contexts)
            .where(table.session_id == session_id, table.session_id.in_(seen))
            .where(table.expires_at > expires_at)
            .values(expires_at=expires_at, version=table.version + 1)
        )
        async with self._database.transaction() as connection:
            changed = (await connection.execute(statement)).rowcount
        return await self.of_session(session_id) if changed else None

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
        seen = select(call_sessions.c.session_id).where(seen_by(self._asks()))
        which = and_(which, conversation_contexts.c.session_id.in_(seen))
        async with self._database.transaction() as connection:
            if dry_run:
                counted = select(func.count()).select_from(conversation_contexts).where(which)
                return int((await connection.execute(counted)).scalar_one())
            return (await connection.execute(delete(conversation_contexts).where(which))).rowcount

    async def of_session(self, session_id: UUID) -> ConversationContext | None:
        """The context, expired or not."""
        statement = (
            _of_session(session_id)
            .add_columns(call_sessions.c.owner)
            .join(call_sessions, call_sessions.c.session_id == conversation_contexts.c.session_id)
            .where(seen_by(self._asks()))
        )
        async with self._database.transaction() as connection:
            row = (await connection.execute(statement)).first()
        return None if row is None else self._context(row, row.owner)

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

    def _context(self, row: Row[Any], owner: str) -> ConversationContext:
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
            owner=owner,
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
