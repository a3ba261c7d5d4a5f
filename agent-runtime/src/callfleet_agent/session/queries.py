"""What is asked about sessions."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from callfleet_agent.session.continuing import LONGEST_WITHIN, WITHIN, broke_off
from callfleet_agent.session.errors import SessionNotFoundError
from callfleet_agent.session.record import CallSession
from callfleet_agent.session.store import Caller, SessionReader

LONGEST_CALL = timedelta(hours=1)


def _utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Interrupted:
    """Has a caller's last call to this agent broken off? `session_id` is the one that asks."""

    caller: Caller
    voice_agent: str
    session_id: UUID | None = None
    within: timedelta = WITHIN


@dataclass(frozen=True, slots=True)
class SessionQueries:
    """The queries on one store."""

    store: SessionReader
    now: Callable[[], datetime] = _utc_now

    async def by_id(self, session_id: UUID) -> CallSession:
        """Raises SessionNotFoundError."""
        return _found(await self.store.by_id(session_id))

    async def by_sip_call_id(self, sip_call_id: str) -> CallSession:
        """Raises SessionNotFoundError."""
        return _found(await self.store.by_sip_call_id(sip_call_id))

    async def interrupted(self, asked: Interrupted) -> CallSession | None:
        """The caller's last call, if it broke off; whether somebody talks in one that never ended
        is seen from its context."""
        now, within = self.now(), min(asked.within, LONGEST_WITHIN)
        last = await self.store.last_before(
            asked.caller, asked.voice_agent, asked.session_id, now - within - LONGEST_CALL
        )
        return last if last is not None and broke_off(last, now, within) else None


def _found(session: CallSession | None) -> CallSession:
    if session is None:
        raise SessionNotFoundError
    return session
