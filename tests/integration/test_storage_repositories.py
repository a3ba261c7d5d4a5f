"""The repositories on real stores: against a model, with a new key, and with Redis away."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from callfleet_agent.context.commands import ContextCommands
from callfleet_agent.context.conversation import (
    Addition,
    ConversationContext,
    Exchange,
    Speaker,
)
from callfleet_agent.context.errors import ContextNotFoundError, VersionConflictError
from callfleet_agent.context.queries import ContextQueries
from callfleet_agent.session.commands import (
    ChangeSession,
    FinishSession,
    SessionCommands,
    StartSession,
)
from callfleet_agent.session.errors import (
    SessionChangedError,
    SessionEndedError,
    SessionNotFoundError,
)
from callfleet_agent.session.queries import SessionQueries
from callfleet_agent.session.record import CallSession, SessionStatus
from callfleet_agent.storage.cache import IN_DOUBT_S, Cache
from callfleet_agent.storage.cached import CachedContexts, CachedSessions
from callfleet_agent.storage.contexts import PostgresContexts
from callfleet_agent.storage.database import Database
from callfleet_agent.storage.errors import SealError, StoreUnavailableError
from callfleet_agent.storage.sealing import Sealer
from callfleet_agent.storage.sessions import PostgresSessions
from callfleet_agent.storage.upkeep import reseal
from stores import (
    Server,
    cache,
    database,
    killable_postgres,
    killable_redis,
    migrated,
    new_id,
    now,
    sealer,
)


@dataclass
class Kept:
    """Commands and queries on both stores."""

    database: Database
    cache: Cache
    start: SessionCommands
    sessions: SessionQueries
    contexts: ContextCommands
    remembered: ContextQueries


@asynccontextmanager
async def kept(url: str, redis: str, keys: Sealer | None = None) -> AsyncIterator[Kept]:
    keys = keys or sealer()
    async with database(url) as connected, cache(redis) as copies:
        sessions = CachedSessions(PostgresSessions(connected, keys), copies, keys)
        contexts = CachedContexts(PostgresContexts(connected, keys), copies, keys, now)
        yield Kept(
            connected,
            copies,
            SessionCommands(sessions, now, new_id),
            SessionQueries(sessions),
            ContextCommands(contexts, now, new_id),
            ContextQueries(contexts, now),
        )


IDS = [UUID(int=number) for number in range(1, 4)]
REQUESTS = [UUID(int=number) for number in range(10, 13)]
ids, requests = st.sampled_from(IDS), st.one_of(st.none(), st.sampled_from(REQUESTS))
operations = st.one_of(
    st.tuples(st.just("start"), ids, st.sampled_from(["a", "b"])),
    st.tuples(st.just("move"), ids, requests, st.sampled_from(["pod-1", "pod-2"])),
    st.tuples(st.just("end"), ids, st.sampled_from(["COMPLETED", "FAILED"])),
    st.tuples(st.just("say"), ids, requests, st.integers(0, 3), st.text("xyz", min_size=1)),
    st.tuples(st.just("begin"), ids),
    st.tuples(st.just("lapse"), ids),
    st.tuples(st.just("forget"), ids),
    st.tuples(st.just("flush")),
)


class Model:
    """What the stores should hold: plain dictionaries and the rules in words."""

    def __init__(self) -> None:
        self.sessions: dict[UUID, dict[str, str]] = {}
        self.contexts: dict[UUID, list[str]] = {}
        self.versions: dict[UUID, int] = {}
        self.applied: set[tuple[UUID, UUID]] = set()

    def start(self, session: UUID, call: str) -> str:
        found = self.sessions.setdefault(session, {"call": call, "pod": "", "status": "ACTIVE"})
        return "ok" if found["call"] == call else "SessionExistsError"

    def move(self, session: UUID, request: UUID | None, pod: str) -> str:
        found = self.sessions.get(session)
        if found is None:
            return "SessionNotFoundError"
        if request and (session, request) in self.applied:
            return "ok"
        if found["status"] != "ACTIVE":
            return "SessionEndedError"
        found["pod"] = pod
        self._remember(session, request)
        return "ok"

    def end(self, session: UUID, status: str) -> str:
        found = self.sessions.get(session)
        if found is None:
            return "SessionNotFoundError"
        if found["status"] == "ACTIVE":
            found["status"] = status
        return "ok"

    def say(self, session: UUID, request: UUID | None, expected: int, said: str) -> str:
        found = self.sessions.get(session)
        if found is None:
            return "SessionNotFoundError"
        if found["status"] != "ACTIVE":
            return "SessionEndedError"
        if session in self.contexts and request and (session, request) in self.applied:
            return "ok"
        if request and (session, request) in self.applied:
            self.contexts.setdefault(session, [])
            self.versions.setdefault(session, 0)
            return "ok"
        if expected not in {0, self.versions.get(session, 0)}:
            return "VersionConflictError"
        self.contexts.setdefault(session, []).append(said)
        self.versions[session] = self.versions.get(session, 0) + 1
        self._remember(session, request)
        return "ok"

    def begin(self, session: UUID) -> str:
        found = self.sessions.get(session)
        if found is None:
            return "SessionNotFoundError"
        if found["status"] != "ACTIVE":
            return "SessionEndedError"
        self.contexts.setdefault(session, [])
        self.versions.setdefault(session, 0)
        return "ok"

    def lapse(self, _: UUID) -> str:
        return "ok"

    def forget(self, session: UUID) -> str:
        self.contexts.pop(session, None)
        self.versions.pop(session, None)
        return "ok"

    def _remember(self, session: UUID, request: UUID | None) -> None:
        if request:
            self.applied.add((session, request))


async def done(stores: Kept, operation: tuple[object, ...]) -> str:
    """Carry out an operation; its outcome in the model's words."""
    work: Awaitable[object]
    match operation:
        case ("start", UUID() as session, str(call)):
            work = stores.start.start(StartSession(session_id=session, sip_call_id=call))
        case ("move", UUID() as session, UUID() | None as request, str(pod)):
            work = stores.start.change(
                ChangeSession(session_id=session, request_id=request, avc_instance=pod)
            )
        case ("end", UUID() as session, str(status)):
            work = stores.start.finish(
                FinishSession(session_id=session, status=SessionStatus(status))
            )
        case ("say", UUID() as session, UUID() | None as request, int(expected), str(said)):
            addition = Addition(
                append=(Exchange(speaker=Speaker.CALLER, content=said),),
                expected_version=expected,
            )
            try:
                await stores.contexts.update(session, addition, request)
            except (SessionNotFoundError, SessionEndedError, VersionConflictError) as error:
                return type(error).__name__
            return "ok"
        case ("begin", UUID() as session):
            work = stores.contexts.begin(session)
        case ("lapse", UUID() as session):
            work = stores.contexts.lapse(session)
        case ("forget", UUID() as session):
            await stores.contexts.remove(session)
            return "ok"
        case _:
            await stores.cache.client.flushall()
            return "ok"
    try:
        await work
    except Exception as error:
        return type(error).__name__
    return "ok"


async def same(stores: Kept, model: Model) -> None:
    """What is read is what the model holds: from Redis, and from PostgreSQL behind it."""
    for _ in ("with Redis", "without"):
        for session in IDS:
            wanted = model.sessions.get(session)
            if wanted is None:
                with pytest.raises(SessionNotFoundError):
                    await stores.sessions.by_id(session)
                continue
            found = await stores.sessions.by_id(session)
            assert wanted == {
                "call": found.sip_call_id, "pod": found.avc_instance, "status": found.status,
            }  # fmt: skip
            if session not in model.contexts:
                with pytest.raises(ContextNotFoundError):
                    await stores.remembered.of_session(session)
                continue
            context = await stores.remembered.of_session(session)
            said = [exchange.content for exchange in context.history]
            assert (said, context.version) == (model.contexts[session], model.versions[session])
        await stores.cache.client.flushall()


def test_the_stores_do_what_a_model_does(postgres: Server, redis_server: Server) -> None:
    migrated(postgres.url)

    async def walk(steps: list[tuple[object, ...]]) -> None:
        async with kept(postgres.url, redis_server.url) as stores:
            async with stores.database.transaction() as connection:
                await connection.execute(text("TRUNCATE call_sessions CASCADE"))
            await stores.cache.client.flushall()
            model = Model()
            for step in steps:
                outcome = await done(stores, step)
                name, *arguments = step
                wanted = getattr(model, str(name), lambda: "ok")(*arguments)
                assert outcome == wanted, step
            await same(stores, model)

    @settings(
        max_examples=25,
        deadline=None,
        derandomize=True,
        suppress_health_check=[HealthCheck.too_slow],
    )
    @given(st.lists(operations, min_size=4, max_size=14))
    def property_holds(steps: list[tuple[object, ...]]) -> None:
        asyncio.run(walk(steps))

    property_holds()


async def test_concurrent_changes_are_all_there(postgres: Server, redis_server: Server) -> None:
    await asyncio.to_thread(migrated, postgres.url)
    async with kept(postgres.url, redis_server.url) as stores:
        session = (await stores.start.start(StartSession(sip_call_id="a"))).session_id

        async def say(number: int) -> None:
            exchange = Exchange(speaker=Speaker.CALLER, content=str(number))
            await stores.contexts.update(session, Addition(append=(exchange,)), uuid4())

        await asyncio.gather(*(say(number) for number in range(20)))

        context = await stores.remembered.of_session(session)
        assert sorted(int(one.content) for one in context.history) == list(range(20))
        assert context.version == 20


async def test_a_new_key_seals_what_is_new_and_what_is_old_can_be_sealed_again(
    postgres: Server, redis_server: Server
) -> None:
    await asyncio.to_thread(migrated, postgres.url)
    async with kept(postgres.url, redis_server.url) as stores:
        session = (
            await stores.start.start(StartSession(sip_call_id="a", caller_phone="+155501"))
        ).session_id
        await stores.contexts.update(session, Addition(customer_data={"name": "Ada"}))
        await stores.cache.client.flushall()

        assert await reseal(stores.database, sealer("k2")) == 2
        assert await reseal(stores.database, sealer("k2")) == 0

    only_new = Sealer("k2", {"k2": sealer().keys["k2"]}, sealer().index_key)
    only_old = Sealer("k1", {"k1": sealer().keys["k1"]}, sealer().index_key)
    async with kept(postgres.url, redis_server.url, only_new) as stores:
        assert (await stores.sessions.by_id(session)).caller_phone == "+155501"
        assert (await stores.remembered.of_session(session)).customer_data == {"name": "Ada"}
    async with kept(postgres.url, redis_server.url, only_old) as stores:
        with pytest.raises(SealError):
            await stores.sessions.by_id(session)  # not from Redis either


async def test_redis_that_dies_makes_it_slower_and_not_wrong(
    postgres: Server, tmp_path: Path
) -> None:
    await asyncio.to_thread(migrated, postgres.url)
    with killable_redis(tmp_path) as (redis, url):
        async with kept(postgres.url, url) as stores:
            session = (await stores.start.start(StartSession(sip_call_id="a"))).session_id
            moved = ChangeSession(session_id=session, avc_instance="pod-1")
            await stores.start.change(moved)
            redis.kill()

            away = ChangeSession(session_id=session, avc_instance="pod-2")
            await stores.start.change(away)
            assert (await stores.sessions.by_id(session)).avc_instance == "pod-2"
            assert stores.cache.stale > 0
            hits = stores.cache.counts.hits

            redis.start()
            # an older copy, as a Redis with a disk would bring back
            old = {"status": "ACTIVE", "version": "2"}
            await stores.cache.client.hset(f"session:{session}", mapping=old)  # type: ignore[misc]
            await asyncio.sleep(1.1)  # Redis is left alone for a second after a failure

            assert (await stores.sessions.by_id(session)).avc_instance == "pod-2"
            assert stores.cache.stale == 0
            assert (await stores.sessions.by_id(session)).avc_instance == "pod-2"
            assert stores.cache.counts.hits == hits + 1  # the second read is Redis's


class DyingContexts(PostgresContexts):
    """Of a process that is killed when PostgreSQL has a change and Redis has not."""

    async def apply(self, *arguments: Any) -> ConversationContext:
        await super().apply(*arguments)
        raise asyncio.CancelledError


class DyingSessions(PostgresSessions):
    async def change(self, *arguments: Any) -> CallSession:
        await super().change(*arguments)
        raise asyncio.CancelledError


async def test_a_copy_that_a_killed_process_left_behind_stops_nobody(
    postgres: Server, redis_server: Server
) -> None:
    await asyncio.to_thread(migrated, postgres.url)
    async with kept(postgres.url, redis_server.url) as stores:
        session = (await stores.start.start(StartSession(sip_call_id="a"))).session_id
        await stores.contexts.update(session, Addition(current_intent="first"))
        dying = CachedContexts(
            DyingContexts(stores.database, sealer()), stores.cache, sealer(), now
        )
        with pytest.raises(asyncio.CancelledError):
            await ContextCommands(dying, now, new_id).update(session, Addition(current_intent="x"))
        going = CachedSessions(DyingSessions(stores.database, sealer()), stores.cache, sealer())
        with pytest.raises(asyncio.CancelledError):
            await SessionCommands(going, now, new_id).change(
                ChangeSession(session_id=session, avc_instance="pod-2")
            )

        with pytest.raises(VersionConflictError):
            await stores.contexts.update(session, Addition(expected_version=1))
        with pytest.raises(SessionChangedError):
            await stores.start.change(ChangeSession(session_id=session, expected_version=1))

        assert (await stores.remembered.of_session(session)).version == 2
        assert (await stores.sessions.by_id(session)).version == 2


async def test_a_copy_that_a_killed_process_left_behind_is_soon_gone(
    postgres: Server, redis_server: Server
) -> None:
    await asyncio.to_thread(migrated, postgres.url)
    async with kept(postgres.url, redis_server.url) as stores:
        session = (await stores.start.start(StartSession(sip_call_id="a"))).session_id
        await stores.contexts.update(session, Addition(current_intent="first"))
        dying = CachedContexts(
            DyingContexts(stores.database, sealer()), stores.cache, sealer(), now
        )
        with pytest.raises(asyncio.CancelledError):
            await ContextCommands(dying, now, new_id).update(session, Addition(current_intent="x"))

        await asyncio.sleep(IN_DOUBT_S + 0.1)

        assert (await stores.remembered.of_session(session)).current_intent == "x"


@pytest.mark.slow
async def test_what_was_acknowledged_survives_postgresql_killed_in_the_middle_of_writes(
    redis_server: Server,
) -> None:
    with killable_postgres() as (server, url):
        await asyncio.to_thread(migrated, url)
        acknowledged: list[tuple[UUID, UUID]] = []
        async with kept(url, redis_server.url) as stores:
            sessions = [
                (await stores.start.start(StartSession(sip_call_id=f"c{number}"))).session_id
                for number in range(4)
            ]
            is_over = asyncio.Event()

            async def write(session: UUID) -> None:
                """One request after the other, each repeated with its id until acknowledged."""
                request = uuid4()
                while not is_over.is_set():
                    exchange = Exchange(speaker=Speaker.CALLER, content=str(request))
                    try:
                        await stores.contexts.update(session, Addition(append=(exchange,)), request)
                    except StoreUnavailableError:
                        await asyncio.sleep(0.05)
                        continue
                    acknowledged.append((session, request))
                    request = uuid4()
                    await asyncio.sleep(0.02)

            async def more(count: int) -> None:
                """So many more of each are acknowledged."""
                wanted = Counter(owner for owner, _ in acknowledged)
                wanted.update(dict.fromkeys(sessions, count))
                while not wanted <= Counter(owner for owner, _ in acknowledged):  # noqa: ASYNC110
                    await asyncio.sleep(0.02)

            async def kill() -> None:
                await more(10)
                await asyncio.to_thread(server.kill)
                await asyncio.sleep(0.5)  # nobody is answered
                await asyncio.to_thread(server.start)
                await more(10)
                is_over.set()

            async with asyncio.timeout(150):
                await asyncio.gather(kill(), *map(write, sessions))
            await stores.cache.client.flushall()

            said: list[tuple[UUID, UUID]] = []
            for session in sessions:
                context = await stores.remembered.of_session(session)
                said += [(session, UUID(one.content)) for one in context.history]
                order = [request for owner, request in acknowledged if owner == session]
                assert [UUID(one.content) for one in context.history][: len(order)] == order
        assert len(said) == len(set(said))  # nothing twice
        assert set(acknowledged) <= set(said)  # nothing lost
        assert len(said) - len(acknowledged) <= len(sessions)  # at most the last of each


async def is_asked(connected: Database) -> bool:
    """Whether somebody waits for an answer; each look is a transaction, which sees one moment."""
    waits = "wait_event = 'PgSleep' AND datname = current_database()"
    async with connected.transaction() as connection:
        found = await connection.scalar(text(f"SELECT 1 FROM pg_stat_activity WHERE {waits}"))
        return found is not None


async def test_what_is_still_asked_when_the_database_is_left_is_given_up(postgres: Server) -> None:
    async def ask() -> None:
        async with left.transaction() as connection:
            await connection.execute(text("SELECT pg_sleep(600)"))

    async with database(postgres.url) as left:
        asking = asyncio.create_task(ask())
        async with database(postgres.url) as watching:
            while not await is_asked(watching):  # noqa: ASYNC110, by another connection
                await asyncio.sleep(0.02)
    with pytest.raises(StoreUnavailableError):
        await asyncio.wait_for(asking, 60)
