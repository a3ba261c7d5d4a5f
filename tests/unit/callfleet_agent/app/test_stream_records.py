"""What the sessions of streams are recorded as: two processes, each with a book, on one store."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest

from callfleet_agent.app.call_book import NoBook
from callfleet_agent.app.stream_records import (
    MOST_CUT_OFFS,
    Beginning,
    Kept,
    StoredRecords,
    unnamed,
)
from callfleet_agent.context.conversation import ConversationContext
from callfleet_agent.context.queries import ContextQueries
from callfleet_agent.link import Earlier
from callfleet_agent.services.errors import SessionElsewhereError
from callfleet_agent.session.commands import FinishSession, SessionCommands
from callfleet_agent.session.continuing import QUIET, WITHIN
from callfleet_agent.session.errors import SessionEndedError, SessionExistsError
from callfleet_agent.session.queries import SessionQueries
from callfleet_agent.session.record import CallSession, SessionStatus
from callfleet_agent.session.store import Caller, Step
from callfleet_agent.storage.errors import StoreUnavailableError

BEGAN = datetime(2026, 11, 26, 12, tzinfo=UTC)
WANTED = "card_delivery_inquiry"
INTERRUPTED, COMPLETED = SessionStatus.INTERRUPTED, SessionStatus.COMPLETED


@dataclass
class FakeStore:
    """Sessions and contexts of one owner, and the time of all."""

    now: datetime = BEGAN
    away: bool = False
    sessions: dict[UUID, CallSession] = field(default_factory=dict)
    contexts: dict[UUID, ConversationContext] = field(default_factory=dict)

    async def create(self, session: CallSession) -> tuple[CallSession, bool]:
        if self.away:
            raise StoreUnavailableError("away")
        is_new = session.session_id not in self.sessions
        return self.sessions.setdefault(session.session_id, session), is_new

    async def change(self, session_id: UUID, request_id: UUID | None, step: Step) -> CallSession:
        self.sessions[session_id] = after = step(self.sessions[session_id])
        return after

    async def by_id(self, session_id: UUID) -> CallSession | None:
        return self.sessions.get(session_id)

    async def by_sip_call_id(self, sip_call_id: str) -> CallSession | None:
        raise NotImplementedError

    async def last_before(
        self, caller: Caller, voice_agent: str, session_id: UUID | None, since: datetime
    ) -> CallSession | None:
        raise NotImplementedError

    async def of_session(self, session_id: UUID) -> ConversationContext | None:
        return self.contexts.get(session_id)

    def told(self, session_id: UUID, intent: str = WANTED) -> None:
        """A turn's record came."""
        self.contexts[session_id] = ConversationContext(
            context_id=uuid4(),
            session_id=session_id,
            last_updated=self.now,
            expires_at=self.now + timedelta(hours=1),
            current_intent=intent,
            customer_data={"customer_number": "200417", "failed_attempts": 1.0},
        )


class Settling(NoBook):
    """What was owed comes into the store when it is waited for."""

    def __init__(self, delivered: Callable[[], None]) -> None:
        self._delivered = delivered

    async def settled(self, _: float, /) -> None:
        self._delivered()


class Site:
    """Pods on one store, and a session that one of them has begun."""

    def __init__(self) -> None:
        self.store = FakeStore()
        self.commands = SessionCommands(self.store, lambda: self.store.now, uuid4)

    def pod(self, name: str, delivered: Callable[[], None] = lambda: None) -> StoredRecords:
        def now() -> datetime:
            return self.store.now

        kept = Kept(self.commands, SessionQueries(self.store), ContextQueries(self.store, now), now)
        return StoredRecords(Settling(delivered), kept, pod=name, pools=lambda: {"llm": ["house"]})

    def session(self, session_id: UUID | None = None, call_id: str = "") -> CallSession:
        session_id = session_id or uuid4()
        return CallSession(
            session_id=session_id,
            sip_call_id=call_id or unnamed(session_id),
            call_start_time=self.store.now,
        )

    async def begun(self, call_id: str = "") -> CallSession:
        """On pod a; its caller has said what they want."""
        beginning = await self.pod("a").begun(self.session(call_id=call_id))
        self.store.told(beginning.session.session_id)
        return beginning.session

    async def end(self, session: CallSession, status: SessionStatus) -> None:
        await self.commands.finish(FinishSession(session_id=session.session_id, status=status))

    async def again(self, pod: str, session: CallSession) -> Beginning:
        asked = replace(session, call_start_time=self.store.now)
        return await self.pod(pod).begun(asked)

    def pass_(self, time: timedelta) -> None:
        self.store.now += time


async def test_a_new_session_says_where_it_is_and_who_works_for_it() -> None:
    site = Site()
    session = await site.begun()
    recorded = site.store.sessions[session.session_id]
    assert (recorded.avc_instance, recorded.ai_provider_config) == ("a", {"llm": ["house"]})
    assert recorded == session


@pytest.mark.parametrize("pod", ["a", "b"])
async def test_one_that_has_ended_is_over_on_every_pod(pod: str) -> None:
    site = Site()
    session = await site.begun()
    await site.end(session, COMPLETED)
    with pytest.raises(SessionEndedError):
        await site.again(pod, session)
    assert len(site.store.sessions) == 1


@pytest.mark.parametrize("pod", ["a", "b"])
@pytest.mark.parametrize("call_id", ["", "call-7@phone"])
async def test_one_that_was_cut_off_is_gone_on_with_in_another_one(pod: str, call_id: str) -> None:
    site = Site()
    session = await site.begun(call_id)
    await site.end(session, INTERRUPTED)

    later = await site.again(pod, session)

    assert later.earlier == Earlier(WANTED, "200417", 1)
    assert later.session.session_id != session.session_id
    recorded = site.store.sessions[later.session.session_id]
    assert (recorded.status, recorded.avc_instance) == (SessionStatus.ACTIVE, pod)
    assert recorded.sip_call_id == (call_id or unnamed(recorded.session_id))
    assert site.store.sessions[session.session_id].status is INTERRUPTED


async def test_one_that_is_cut_off_again_and_again() -> None:
    site = Site()
    first = session = await site.begun()
    seen = {session.session_id}
    for _ in range(MOST_CUT_OFFS - 1):
        await site.end(session, INTERRUPTED)
        session = (await site.again("b", first)).session
        site.store.told(session.session_id)
        seen.add(session.session_id)
    assert len(seen) == MOST_CUT_OFFS
    await site.end(session, INTERRUPTED)
    with pytest.raises(SessionEndedError):
        await site.again("b", first)
    assert (await site.again("b", session)).earlier is not None  # by its own id


async def test_after_what_went_on_from_it_has_ended_it_is_over() -> None:
    site = Site()
    session = await site.begun()
    await site.end(session, INTERRUPTED)
    await site.end((await site.again("b", session)).session, COMPLETED)
    with pytest.raises(SessionEndedError):
        await site.again("b", session)


async def test_too_long_ago_is_over() -> None:
    site = Site()
    interrupted, never_ended = await site.begun(), await site.begun()
    await site.end(interrupted, INTERRUPTED)
    site.pass_(WITHIN + timedelta(seconds=1))
    for session in (interrupted, never_ended):
        with pytest.raises(SessionEndedError):
            await site.again("b", session)


async def test_of_a_pod_that_is_gone_with_its_journal_once_nothing_is_told_of_it() -> None:
    site = Site()
    session = await site.begun()
    with pytest.raises(SessionElsewhereError):
        await site.again("b", session)
    site.pass_(QUIET)
    assert (await site.again("b", session)).earlier == Earlier(WANTED, "200417", 1)


async def test_of_a_former_process_of_the_pod_at_once_and_with_all_that_it_owed() -> None:
    site = Site()
    beginning = await site.pod("a").begun(site.session())
    owed = beginning.session.session_id
    later = await site.pod("a", lambda: site.store.told(owed)).begun(site.session(owed))
    assert later.earlier == Earlier(WANTED, "200417", 1)


async def test_a_pod_without_a_name_knows_no_session_for_its_own() -> None:
    site = Site()
    beginning = await site.pod("").begun(site.session())
    with pytest.raises(SessionElsewhereError):
        await site.again("", beginning.session)


@pytest.mark.parametrize("is_remembered", [True, False])
async def test_where_nothing_was_wanted_yet_the_conversation_begins_anew(
    is_remembered: bool,
) -> None:
    site = Site()
    session = await site.begun()
    del site.store.contexts[session.session_id]
    if is_remembered:
        site.store.told(session.session_id, "")
    await site.end(session, INTERRUPTED)
    later = await site.again("b", session)
    assert later.earlier is None
    assert later.session.session_id != session.session_id


async def test_the_id_of_another_call_is_refused() -> None:
    site = Site()
    session = await site.begun("call-7@phone")
    with pytest.raises(SessionExistsError):
        await site.again("b", replace(session, sip_call_id="call-8@phone"))


async def test_stores_that_are_away_cost_the_earlier_conversation_and_nothing_else() -> None:
    site = Site()
    site.store.away = True
    asked = site.session()
    assert (await site.pod("a").begun(asked)).session.session_id == asked.session_id
    assert site.store.sessions == {}


async def test_without_stores_every_session_is_new() -> None:
    asked = Site().session()
    assert await StoredRecords(NoBook()).begun(asked) == Beginning(asked)
