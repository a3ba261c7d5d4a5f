"""Sessions in PostgreSQL. Another's session is not there."""

from dataclasses import replace
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import ColumnElement, Row, and_, select, true, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from callfleet_agent.session.access import Access, WhoAsks, upkeep
from callfleet_agent.session.errors import (
    SessionEndedError,
    SessionExistsError,
    SessionNotFoundError,
)
from callfleet_agent.session.record import CallSession, SessionStatus
from callfleet_agent.session.store import Caller, Step
from callfleet_agent.storage.database import Database
from callfleet_agent.storage.requests import applied_version, remember
from callfleet_agent.storage.sealing import Sealer
from callfleet_agent.storage.tables import PHONE_LENGTH, call_sessions

_COLUMNS = tuple(call_sessions.c)
PHONE: Final = "call_sessions.caller_phone"


class PostgresSessions:
    """SessionReader and SessionWriter on PostgreSQL."""

    def __init__(self, database: Database, sealer: Sealer, asks: WhoAsks = upkeep) -> None:
        self._database = database
        self._sealer = sealer
        self._asks = asks

    async def create(self, session: CallSession) -> tuple[CallSession, bool]:
        """Record it unless its id is there."""
        access = self._asks()
        session = replace(session, owner=access.owner)
        statement = (
            insert(call_sessions)
            .values(self._values(session))
            .on_conflict_do_nothing(index_elements=["session_id"])
            .returning(*_COLUMNS)
        )
        async with self._database.transaction() as connection:
            row = (await connection.execute(statement)).first()
            if row is not None:
                return self._session(row), True
            found = (await connection.execute(_by_id(session.session_id))).one()
            if not access.covers(found.owner):
                raise SessionExistsError
            return self._session(found), False

    async def change(self, session_id: UUID, request_id: UUID | None, step: Step) -> CallSession:
        """Apply a step under a lock of the row."""
        async with self._database.transaction() as connection:
            row = (await connection.execute(_by_id(session_id).with_for_update())).first()
            if row is None or not self._asks().covers(row.owner):
                raise SessionNotFoundError
            before = self._session(row)
            if request_id and await applied_version(connection, session_id, request_id) is not None:
                return before
            after = step(before)
            if after is before:
                return before
            statement = (
                update(call_sessions)
                .where(call_sessions.c.session_id == session_id)
                .values(
                    status=after.status,
                    call_end_time=after.call_end_time,
                    ai_provider_config=dict(after.ai_provider_config),
                    avc_instance=after.avc_instance,
                    version=after.version,
                )
                .returning(*_COLUMNS)
            )
            changed = self._session((await connection.execute(statement)).one())
            if request_id:
                await remember(connection, session_id, request_id, changed.version)
            return changed

    async def by_id(self, session_id: UUID) -> CallSession | None:
        """The session."""
        async with self._database.transaction() as connection:
            row = (await connection.execute(_by_id(session_id))).first()
        return None if row is None or not self._asks().covers(row.owner) else self._session(row)

    async def by_sip_call_id(self, sip_call_id: str) -> CallSession | None:
        """The newest session with this Call-ID."""
        statement = (
            select(*_COLUMNS)
            .where(call_sessions.c.sip_call_id == sip_call_id, seen_by(self._asks()))
            .order_by(call_sessions.c.call_start_time.desc(), call_sessions.c.session_id)
            .limit(1)
        )
        async with self._database.transaction() as connection:
            row = (await connection.execute(statement)).first()
        return None if row is None else self._session(row)

    async def last_before(
        self, caller: Caller, voice_agent: str, session_id: UUID | None, since: datetime
    ) -> CallSession | None:
        """The newest session of a caller with this agent."""
        columns = call_sessions.c
        if caller.phone:
            is_caller = columns.caller_phone == self._sealer.fingerprint(caller.phone, PHONE_LENGTH)
        else:
            is_caller = columns.sip_call_id == caller.sip_call_id
        statement = (
            select(*_COLUMNS)
            .where(
                is_caller,
                seen_by(self._asks()),
                columns.voice_agent == voice_agent,
                columns.call_start_time > since,
            )
            .order_by(columns.call_start_time.desc(), columns.session_id.desc())
            .limit(1)
        )
        if session_id is not None:
            statement = statement.where(columns.session_id != session_id)
        async with self._database.transaction() as connection:
            row = (await connection.execute(statement)).first()
        return None if row is None else self._session(row)

    def _values(self, session: CallSession) -> dict[str, Any]:
        phone = session.caller_phone
        return {
            "session_id": session.session_id,
            "caller_phone": self._sealer.fingerprint(phone, PHONE_LENGTH) if phone else "",
            "caller_phone_sealed": self._sealer.seal(phone, place_of_phone(session.session_id)),
            "call_start_time": session.call_start_time,
            "call_end_time": session.call_end_time,
            "sip_call_id": session.sip_call_id,
            "status": session.status,
            "ai_provider_config": dict(session.ai_provider_config),
            "avc_instance": session.avc_instance,
            "voice_agent": session.voice_agent,
            "owner": session.owner,
            "version": session.version,
        }

    def _session(self, row: Row[Any]) -> CallSession:
        place = place_of_phone(row.session_id)
        return CallSession(
            session_id=row.session_id,
            sip_call_id=row.sip_call_id,
            call_start_time=row.call_start_time,
            caller_phone=self._sealer.open(row.caller_phone_sealed, place),
            status=SessionStatus(row.status),
            call_end_time=row.call_end_time,
            ai_provider_config=row.ai_provider_config or {},
            avc_instance=row.avc_instance,
            voice_agent=row.voice_agent,
            owner=row.owner,
            created_at=row.created_at,
            updated_at=row.updated_at,
            version=row.version,
        )


def place_of_phone(session_id: UUID) -> str:
    """What a sealed number is bound to."""
    return f"{PHONE}|{session_id}"


def seen_by(access: Access) -> ColumnElement[bool]:
    """The sessions that somebody may see."""
    if access.everything:
        return true()
    return and_(call_sessions.c.owner == access.owner, call_sessions.c.owner != "")


async def hold_active(connection: AsyncConnection, session_id: UUID, access: Access) -> str:
    """Keep the session from ending until this transaction is over; whose it is.

    Raises:
        SessionNotFoundError: there is no such session, or it is another's.
        SessionEndedError: it has ended.
    """
    statement = (
        select(call_sessions.c.status, call_sessions.c.owner)
        .where(call_sessions.c.session_id == session_id)
        .with_for_update(read=True)
    )
    row = (await connection.execute(statement)).first()
    if row is None or not access.covers(row.owner):
        raise SessionNotFoundError
    if row.status != SessionStatus.ACTIVE:
        raise SessionEndedError
    return str(row.owner)


def _by_id(session_id: UUID) -> Any:
    return select(*_COLUMNS).where(call_sessions.c.session_id == session_id)
