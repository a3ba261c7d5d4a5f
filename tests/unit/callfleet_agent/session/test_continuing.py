"""Which earlier call a caller is offered to go on with."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from callfleet_agent.session.continuing import (
    QUIET,
    WITHIN,
    EarlierCall,
    Unfit,
    unfit,
)
from callfleet_agent.session.queries import Interrupted, SessionQueries
from callfleet_agent.session.record import CallSession, SessionStatus
from callfleet_agent.session.store import Caller

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
SESSION = CallSession(
    session_id=UUID(int=1), sip_call_id="a@b", call_start_time=NOW - timedelta(minutes=3)
)
CUT = replace(SESSION, status=SessionStatus.INTERRUPTED, call_end_time=NOW - SECOND)
CALL = EarlierCall(
    session=CUT, told_at=NOW - 2 * SECOND, now=NOW, wanted="card_delivery_inquiry", vouched=True
)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({}, None),
        ({"session": replace(CUT, call_end_time=NOW - WITHIN)}, None),
        ({"session": replace(CUT, call_end_time=NOW - WITHIN - SECOND)}, Unfit.LONG_AGO),
        ({"session": replace(CUT, status=SessionStatus.COMPLETED)}, Unfit.ENDED),
        ({"session": replace(CUT, status=SessionStatus.FAILED)}, Unfit.ENDED),
        ({"session": SESSION, "told_at": NOW - QUIET}, None),
        ({"session": SESSION, "told_at": NOW - QUIET + SECOND}, Unfit.GOES_ON),
        ({"session": SESSION, "told_at": NOW - WITHIN - SECOND}, Unfit.LONG_AGO),
        ({"vouched": False}, Unfit.UNTRUSTED),
        ({"wanted": ""}, Unfit.NOTHING),
    ],
)
def test_each_reason_against_it(changes: dict[str, Any], reason: Unfit | None) -> None:
    assert unfit(replace(CALL, **changes)) is reason


class FakeSessions:
    """Has one session, and remembers how it was asked for."""

    def __init__(self, session: CallSession | None) -> None:
        self.session = session
        self.since: datetime | None = None

    async def by_id(self, session_id: UUID) -> CallSession | None:
        return self.session

    async def by_sip_call_id(self, sip_call_id: str) -> CallSession | None:
        return self.session

    async def last_before(
        self, caller: Caller, voice_agent: str, session_id: UUID | None, since: datetime
    ) -> CallSession | None:
        self.since = since
        return self.session


@pytest.mark.parametrize(
    ("session", "found"),
    [
        (None, False),
        (SESSION, True),
        (CUT, True),
        (replace(CUT, call_end_time=NOW - timedelta(minutes=6)), False),
        (replace(CUT, status=SessionStatus.COMPLETED), False),
    ],
)
async def test_only_the_last_call_counts(session: CallSession | None, found: bool) -> None:
    store = FakeSessions(session)
    queries = SessionQueries(store, lambda: NOW)
    asked = Interrupted(caller=Caller(phone="+15550100"), voice_agent="bank/card-line")
    assert await queries.interrupted(asked) == (session if found else None)
    assert store.since == NOW - timedelta(minutes=65)
