"""Sessions and contexts as services use them: written to PostgreSQL and then to Redis, read from
Redis and then from PostgreSQL. Keys and times to live are those of the platform's data model."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import orjson

from callfleet_agent.context.conversation import ConversationContext
from callfleet_agent.context.errors import VersionConflictError
from callfleet_agent.context.store import Merge
from callfleet_agent.session.access import WhoAsks, upkeep
from callfleet_agent.session.errors import SessionChangedError
from callfleet_agent.session.record import CallSession, SessionStatus
from callfleet_agent.session.store import Caller, Step
from callfleet_agent.storage.cache import Cache
from callfleet_agent.storage.contexts import (
    PostgresContexts,
    exchange_as_json,
    exchange_of_json,
    place,
)
from callfleet_agent.storage.errors import SealError
from callfleet_agent.storage.sealing import Sealer
from callfleet_agent.storage.sessions import PostgresSessions, place_of_phone

SESSION_TTL_S: Final = 3600
CONTEXT_TTL_S: Final = 1800
ROUTING_TTL_S: Final = 7200
_UNREADABLE: Final = (SealError, KeyError, ValueError, TypeError)


class CachedSessions:
    """SessionReader and SessionWriter on both stores."""

    def __init__(
        self, truth: PostgresSessions, cache: Cache, sealer: Sealer, asks: WhoAsks = upkeep
    ) -> None:
        self._truth = truth
        self._cache = cache
        self._sealer = sealer
        self._asks = asks

    async def create(self, session: CallSession) -> tuple[CallSession, bool]:
        """Record it unless its id is there."""
        recorded, is_new = await self._truth.create(session)
        await self._copy(recorded)
        return recorded, is_new

    async def change(self, session_id: UUID, request_id: UUID | None, step: Step) -> CallSession:
        """Apply a step, once for each request id; a conflict mends the copy."""
        await self._cache.doubt(f"session:{session_id}")
        try:
            changed = await self._truth.change(session_id, request_id, step)
        except SessionChangedError:  # who asked may have read an old copy
            found = await self._truth.by_id(session_id)
            if found is not None:
                await self._copy(found)
            raise
        await self._copy(changed)
        return changed

    async def by_id(self, session_id: UUID) -> CallSession | None:
        """The session."""
        entry = await self._cache.get(f"session:{session_id}")
        if entry is not None:
            try:
                session = self._opened(session_id, entry)
                return session if self._asks().covers(session.owner) else None
            except _UNREADABLE:  # sealed with a key that is gone, or written by a later version
                pass
        found = await self._truth.by_id(session_id)
        if found is not None:
            await self._copy(found)
        return found

    async def by_sip_call_id(self, sip_call_id: str) -> CallSession | None:
        """The newest session with this Call-ID: always from PostgreSQL, since a Call-ID may come
        again."""
        return await self._truth.by_sip_call_id(sip_call_id)

    async def last_before(
        self, caller: Caller, voice_agent: str, session_id: UUID | None, since: datetime
    ) -> CallSession | None:
        """The newest session of a caller with this agent: always from PostgreSQL, as well."""
        return await self._truth.last_before(caller, voice_agent, session_id, since)

    async def _copy(self, session: CallSession) -> None:
        key, fields = f"session:{session.session_id}", self._sealed(session)
        await self._cache.put(key, session.version, fields, SESSION_TTL_S)
        routing = {
            "session_id": str(session.session_id),
            "avc_instance": session.avc_instance,
            "pipeline_config": orjson.dumps(dict(session.ai_provider_config)).decode(),
        }
        if session.is_over:
            await self._cache.forget(f"call_routing:{session.sip_call_id}")
        else:
            key = f"call_routing:{session.sip_call_id}"
            await self._cache.put(key, session.version, routing, ROUTING_TTL_S)

    def _sealed(self, session: CallSession) -> dict[str, str]:
        place = place_of_phone(session.session_id)
        metadata = {
            "sip_call_id": session.sip_call_id,
            "call_start_time": session.call_start_time,
            "call_end_time": session.call_end_time,
            "avc_instance": session.avc_instance,
            "voice_agent": session.voice_agent,
            "owner": session.owner,
            "created_at": session.created_at,
            "updated_at": session.updated_at,
        }
        return {
            "caller_phone": _json(self._sealer.seal(session.caller_phone, place)),
            "status": session.status,
            "ai_providers": _json(dict(session.ai_provider_config)),
            "call_metadata": _json(metadata),
        }

    def _opened(self, session_id: UUID, entry: Mapping[str, str]) -> CallSession:
        metadata = orjson.loads(entry["call_metadata"])
        sealed = orjson.loads(entry["caller_phone"])
        return CallSession(
            session_id=session_id,
            sip_call_id=metadata["sip_call_id"],
            call_start_time=datetime.fromisoformat(metadata["call_start_time"]),
            caller_phone=self._sealer.open(sealed, place_of_phone(session_id)),
            status=SessionStatus(entry["status"]),
            call_end_time=_moment(metadata["call_end_time"]),
            ai_provider_config=orjson.loads(entry["ai_providers"]),
            avc_instance=metadata["avc_instance"],
            voice_agent=metadata["voice_agent"],
            owner=metadata["owner"],
            created_at=_moment(metadata["created_at"]),
            updated_at=_moment(metadata["updated_at"]),
            version=int(entry["version"]),
        )


class CachedContexts:
    """ContextReader and ContextWriter on both stores."""

    def __init__(
        self,
        truth: PostgresContexts,
        cache: Cache,
        sealer: Sealer,
        now: Callable[[], datetime],
        asks: WhoAsks = upkeep,
    ) -> None:
        self._truth = truth
        self._cache = cache
        self._sealer = sealer
        self._now = now
        self._asks = asks

    async def apply(
        self, empty: ConversationContext, request_id: UUID | None, merge: Merge
    ) -> ConversationContext:
        """Merge, once for each request id; a conflict mends the copy."""
        await self._cache.doubt(f"context:{empty.session_id}")
        try:
            context = await self._truth.apply(empty, request_id, merge)
        except VersionConflictError:  # who asked may have read an old copy
            found = await self._truth.of_session(empty.session_id)
            if found is not None:
                await self._copy(found)
            raise
        await self._copy(context)
        return context

    async def begin(self, empty: ConversationContext) -> None:
        """Insert it, unless there is one."""
        begun = await self._truth.begin(empty)
        if begun is not None:
            await self._copy(begun)

    async def lapse(self, session_id: UUID, expires_at: datetime) -> None:
        """Bring the end nearer."""
        await self._cache.doubt(f"context:{session_id}")
        lapsed = await self._truth.lapse(session_id, expires_at)
        if lapsed is not None:
            await self._copy(lapsed)

    async def remove(self, session_id: UUID, *, dry_run: bool) -> int:
        """Remove the context of a session."""
        removed = await self._truth.remove(session_id, dry_run=dry_run)
        if not dry_run and (removed or await self._has_left(session_id)):
            await self._cache.forget(f"context:{session_id}")
        return removed

    async def _has_left(self, session_id: UUID) -> bool:
        """Whether Redis still has what an earlier removal did not get to; not for another's."""
        entry = await self._cache.get(f"context:{session_id}")
        return entry is not None and self._asks().covers(entry.get("owner", ""))

    async def remove_expired(self, now: datetime, *, dry_run: bool) -> int:
        """Remove the contexts whose time is over; Redis has let go of them by then."""
        return await self._truth.remove_expired(now, dry_run=dry_run)

    async def of_session(self, session_id: UUID) -> ConversationContext | None:
        """The context."""
        entry = await self._cache.get(f"context:{session_id}")
        if entry is not None:
            try:
                context = self._opened(session_id, entry)
                return context if self._asks().covers(context.owner) else None
            except _UNREADABLE:
                pass
        found = await self._truth.of_session(session_id)
        if found is not None:
            await self._copy(found)
        return found

    async def _copy(self, context: ConversationContext) -> None:
        left_s = (context.expires_at - self._now()).total_seconds()
        if left_s > 0:
            key, fields = f"context:{context.session_id}", self._sealed(context)
            await self._cache.put(key, context.version, fields, min(CONTEXT_TTL_S, left_s))

    def _sealed(self, context: ConversationContext) -> dict[str, str]:
        of, seal = context.session_id, self._sealer.seal
        history = [exchange_as_json(exchange) for exchange in context.history]
        facts = dict(context.customer_data)
        return {
            "history": _json(seal(history, place("conversation_history", of))),
            "current_intent": context.current_intent,
            "customer_data": _json(seal(facts, place("customer_data", of))),
            "last_interaction": context.last_updated.isoformat(),
            "context_id": str(context.context_id),
            "expires_at": context.expires_at.isoformat(),
            "owner": context.owner,
        }

    def _opened(self, session_id: UUID, entry: Mapping[str, str]) -> ConversationContext:
        def opened(field: str, column: str) -> Any:
            return self._sealer.open(orjson.loads(entry[field]), place(column, session_id))

        history = opened("history", "conversation_history")
        return ConversationContext(
            context_id=UUID(entry["context_id"]),
            session_id=session_id,
            last_updated=datetime.fromisoformat(entry["last_interaction"]),
            expires_at=datetime.fromisoformat(entry["expires_at"]),
            history=tuple(exchange_of_json(exchange) for exchange in history),
            current_intent=entry["current_intent"],
            customer_data=opened("customer_data", "customer_data"),
            version=int(entry["version"]),
            owner=entry["owner"],
        )


def _json(value: object) -> str:
    return orjson.dumps(value).decode()


def _moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
