"""Sessions that nobody ended: their pod is gone, and its disk with it.

No call lasts for a day, so one that is as old and still ACTIVE has broken off; when, its context
says best.
"""

from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import func, select, update

from callfleet_agent.session.record import SessionStatus
from callfleet_agent.storage.database import Database
from callfleet_agent.storage.tables import call_sessions, conversation_contexts

LONGEST_CALL: Final = timedelta(days=1)
_BATCH: Final = 500


async def end_abandoned(database: Database, now: datetime) -> int:
    """End them as INTERRUPTED, at their last sign of life; how many it were."""
    sessions, contexts = call_sessions.c, conversation_contexts.c
    told_at = (
        select(contexts.last_updated)
        .where(contexts.session_id == sessions.session_id)
        .scalar_subquery()
    )
    ended = 0
    while True:
        batch = (
            select(sessions.session_id)
            .where(
                sessions.status == SessionStatus.ACTIVE,
                sessions.call_start_time < now - LONGEST_CALL,
            )
            .limit(_BATCH)
            .with_for_update(skip_locked=True)
        )
        statement = (
            update(call_sessions)
            .where(sessions.session_id.in_(batch))
            .values(
                status=SessionStatus.INTERRUPTED,
                call_end_time=func.greatest(
                    func.coalesce(told_at, sessions.call_start_time), sessions.call_start_time
                ),
                version=sessions.version + 1,
            )
        )
        async with database.transaction() as connection:
            result = await connection.execute(statement)
        ended += result.rowcount
        if result.rowcount < _BATCH:
            return ended
