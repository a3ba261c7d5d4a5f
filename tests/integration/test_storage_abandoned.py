"""Sessions that nobody ended are ended a day later, at their last sign of life."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from sqlalchemy import text

from callfleet_agent.storage.abandoned import end_abandoned
from callfleet_agent.storage.schema import migrate
from stores import Server, database

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
OLD, SILENT, FRESH, OVER = (UUID(int=number) for number in range(1, 5))


async def test_old_calls_that_are_up_have_broken_off(postgres: Server) -> None:
    day = timedelta(days=1, seconds=1)
    rows = [
        (OLD, "ACTIVE", NOW - day), (SILENT, "ACTIVE", NOW - day), (FRESH, "ACTIVE", NOW),
        (OVER, "COMPLETED", NOW - day),
    ]  # fmt: skip
    told_at = NOW - day + timedelta(minutes=3)
    async with database(postgres.url) as connected:
        await migrate(connected)
        async with connected.transaction() as connection:
            for session_id, status, at in rows:
                await connection.execute(
                    text(
                        "INSERT INTO call_sessions (session_id, caller_phone, sip_call_id, status,"
                        " call_start_time) VALUES (:id, '', 'x', :status, :at)"
                    ),
                    {"id": session_id, "status": status, "at": at},
                )
            await connection.execute(
                text(
                    "INSERT INTO conversation_contexts (session_id, last_updated, expires_at)"
                    " VALUES (:id, :at, :at)"
                ),
                {"id": OLD, "at": told_at},
            )

        assert await end_abandoned(connected, NOW) == 2
        assert await end_abandoned(connected, NOW) == 0

        async with connected.transaction() as connection:
            found = await connection.execute(
                text(
                    "SELECT session_id, status, call_end_time, version FROM call_sessions"
                    " ORDER BY session_id"
                )
            )
        assert [tuple(row) for row in found] == [
            (OLD, "INTERRUPTED", told_at, 2), (SILENT, "INTERRUPTED", NOW - day, 2),
            (FRESH, "ACTIVE", None, 1), (OVER, "COMPLETED", None, 1),
        ]  # fmt: skip
