"""Records of conversations over streams on real stores: two pods, and a session between them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from callfleet_agent.app.call_book import CallBook, opened
from callfleet_agent.app.platform import Stores
from callfleet_agent.app.store_sink import StoreSink
from callfleet_agent.app.stream_records import Kept, StoredRecords, unnamed
from callfleet_agent.context.commands import ContextCommands
from callfleet_agent.context.conversation import Addition, Exchange, Speaker
from callfleet_agent.context.queries import ContextQueries
from callfleet_agent.link import Earlier
from callfleet_agent.services.actor import acts_for
from callfleet_agent.services.context_store import ContextStoreService
from callfleet_agent.services.errors import SessionElsewhereError
from callfleet_agent.services.ownership import asking
from callfleet_agent.services.session_manager import SessionManagerService
from callfleet_agent.session.commands import SessionCommands
from callfleet_agent.session.errors import SessionEndedError, SessionExistsError
from callfleet_agent.session.queries import SessionQueries
from callfleet_agent.session.record import CallSession, SessionStatus
from identities import CLIENT
from stores import Server, cache, database, migrated, new_id, now, sealer

WANTED = "card_delivery_inquiry"
SAID = Exchange(speaker=Speaker.CALLER, content="where is my card")


class Pod:
    """One process's book and records; its context store is asked directly."""

    def __init__(self, name: str, book: CallBook, stores: Stores) -> None:
        self.book = book
        self.contexts = ContextCommands(stores.contexts(), now, new_id)
        self.sessions = SessionQueries(stores.sessions())
        kept = Kept(
            SessionCommands(stores.sessions(), now, new_id),
            self.sessions,
            ContextQueries(stores.contexts(), now),
            now,
        )
        self.records = StoredRecords(book, kept, pod=name, pools=lambda: {"llm": ["house"]})

    async def begun(self, session_id: UUID) -> tuple[CallSession, Earlier | None]:
        """A conversation, told of in the journal too."""
        beginning = await self.records.begun(
            CallSession(
                session_id=session_id, sip_call_id=unnamed(session_id), call_start_time=now()
            )
        )
        session = beginning.session
        self.story = self.records.story(session.session_id, CLIENT)
        self.story.started(session)
        await self.delivered()
        return session, beginning.earlier

    async def turn(self, session_id: UUID) -> None:
        await self.contexts.update(
            session_id,
            Addition(
                append=(SAID,), current_intent=WANTED, customer_data={"customer_number": "200417"}
            ),
        )

    async def end(self, status: SessionStatus) -> None:
        self.story.ended(status, now())
        await self.delivered()

    async def delivered(self) -> None:
        """All of it is in the stores, however busy the machine is."""
        assert await self.book.delivered(60.0) == 0


@pytest.fixture
async def stores(postgres: Server, redis_server: Server) -> AsyncIterator[Stores]:
    await asyncio.to_thread(migrated, postgres.url)
    async with database(postgres.url) as connected, cache(redis_server.url) as copies:
        with acts_for(CLIENT):
            yield Stores(connected, copies, sealer(), asking(""))


@asynccontextmanager
async def pod(folder: Path, name: str, stores: Stores) -> AsyncIterator[Pod]:
    contexts = ContextCommands(stores.contexts(), now, new_id)
    sink = StoreSink(
        SessionManagerService(
            SessionCommands(stores.sessions(), now, new_id),
            SessionQueries(stores.sessions()),
            contexts,
        ),
        ContextStoreService(contexts, ContextQueries(stores.contexts(), now)),
    )
    async with opened(folder / name, sink) as book:
        yield Pod(name, book, stores)


async def test_a_session_that_was_cut_off_on_one_pod_is_gone_on_with_on_another(
    tmp_path: Path, stores: Stores
) -> None:
    async with pod(tmp_path, "a", stores) as a, pod(tmp_path, "b", stores) as b:
        first, _ = await a.begun(uuid4())
        await a.turn(first.session_id)
        with pytest.raises(SessionElsewhereError):
            await b.begun(first.session_id)
        await a.end(SessionStatus.INTERRUPTED)

        later, earlier = await b.begun(first.session_id)
        await b.turn(later.session_id)
        with pytest.raises(SessionElsewhereError):  # b has it now
            await a.begun(first.session_id)
        with acts_for(CLIENT.replace("kiosk", "other")), pytest.raises(SessionExistsError):
            await a.begun(first.session_id)
        await b.end(SessionStatus.COMPLETED)
        for one in (a, b):
            with pytest.raises(SessionEndedError):
                await one.begun(first.session_id)
        kept = [await b.sessions.by_id(one.session_id) for one in (first, later)]
        refused = a.book.journal.counts.refused + b.book.journal.counts.refused

    assert earlier == Earlier(WANTED, "200417", 0)
    assert [(one.status, one.avc_instance, one.owner) for one in kept] == [
        (SessionStatus.INTERRUPTED, "a", CLIENT), (SessionStatus.COMPLETED, "b", CLIENT),
    ]  # fmt: skip
    assert kept[1].ai_provider_config == {"llm": ["house"]}
    assert refused == 0


async def test_a_former_process_of_a_pod_leaves_its_session_to_the_next_one(
    tmp_path: Path, stores: Stores
) -> None:
    async with pod(tmp_path, "a", stores) as killed:
        session, _ = await killed.begun(uuid4())
        await killed.turn(session.session_id)
    async with pod(tmp_path, "a", stores) as next_one:  # the mark on the disk is there still
        await next_one.delivered()
        later, earlier = await next_one.begun(session.session_id)
        kept = await next_one.sessions.by_id(session.session_id)
    assert later.session_id != session.session_id
    assert earlier == Earlier(WANTED, "200417", 0)
    assert replace(kept, status=SessionStatus.INTERRUPTED) == kept
