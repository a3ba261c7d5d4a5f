"""kill -9 of PostgreSQL, of Redis and of each service in the middle of a load.

What was acknowledged is there afterwards, once, and what was not can be asked for again with the
same ids."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol
from uuid import UUID, uuid4

import grpc
import pytest
from sqlalchemy import text

from callfleet.v1 import (
    asr_pb2_grpc,
    banking_pb2,
    banking_pb2_grpc,
    common_pb2,
    connector_pb2,
    connector_pb2_grpc,
    context_pb2,
    context_pb2_grpc,
    llm_pb2,
    llm_pb2_grpc,
    session_pb2,
    session_pb2_grpc,
    tts_pb2,
    tts_pb2_grpc,
    vad_pb2_grpc,
)
from callfleet_agent.app.platform_settings import ROLES
from callfleet_agent.storage import audit
from callfleet_agent.storage.contexts import PostgresContexts
from callfleet_agent.storage.database import Database
from callfleet_agent.storage.sealing import Sealer, read_keys
from callfleet_agent.storage.transactions import place
from fakes.bank import FakeBank
from identities import AGENT, CLIENT, channel
from platform_processes import Installation
from platform_rig import Refused, proof, stub
from spoken_streams import until_said
from stores import database, killable_postgres, killable_redis, new_id

pytestmark = [pytest.mark.slow, pytest.mark.timeout(420)]
STORED = ("session-manager", "context-store", "banking")
SPOKEN = ("vad", "asr", "tts", "ai-voice-connector")
WRITERS = 3
MORE = 12  # requests that must be acknowledged before the kill, and after it
AGAIN = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED}
PROVE_ANEW = {"PROOF_LAPSED", "PROOFS_UNDER_WAY"}  # nobody was told what came of proofs before


class Victim(Protocol):
    """What is killed and started again."""

    def kill(self) -> None: ...
    def start(self) -> None: ...


@dataclass
class Acknowledged:
    """What clients were told is done."""

    sessions: list[str] = field(default_factory=list)
    said: dict[str, list[str]] = field(default_factory=dict)
    verified: dict[str, str] = field(default_factory=dict)  # request, session
    done: dict[str, tuple[str, str]] = field(default_factory=dict)  # transaction, (session, ref)
    ended: list[str] = field(default_factory=list)

    @property
    def count(self) -> int:
        said = sum(map(len, self.said.values()))
        return len(self.sessions) + said + len(self.verified) + len(self.done) + len(self.ended)


@dataclass
class Load:
    """Writers that repeat each request with its id until it is acknowledged."""

    stubs: Mapping[str, Any]
    metadata: Any
    told: Acknowledged = field(default_factory=Acknowledged)
    stopping: bool = False

    async def ask(self, rpc: Any, request: Any) -> Any:
        while True:
            try:
                return await rpc(request, metadata=self.metadata, timeout=20, wait_for_ready=True)
            except grpc.aio.AioRpcError as error:
                if error.code() not in AGAIN:
                    raise
                await asyncio.sleep(0.02)

    async def write(self, _: int) -> None:
        while not self.stopping:
            await self.one_call()

    async def one_call(self) -> None:
        """A call from its beginning to its end."""
        session, told = str(new_id()), self.told
        sessions, contexts = self.stubs["session-manager"], self.stubs["context-store"]
        made = session_pb2.CallSession(session_id=session, sip_call_id=f"{session}@phone")
        await self.ask(sessions.CreateSession, made)
        told.sessions.append(session)
        try_of, answer = await self._proved(session)
        assert answer.status == banking_pb2.AUTHENTICATION_STATUS_VERIFIED
        told.verified[try_of.request_id] = session
        for _ in range(3):
            change = context_pb2.ContextUpdateRequest(session_id=session, request_id=str(uuid4()))
            change.append.add(role=context_pb2.ROLE_CALLER, content=change.request_id)
            await self.ask(contexts.UpdateContext, change)
            told.said.setdefault(session, []).append(change.request_id)
        await self._transact(session)
        await self.ask(sessions.EndSession, session_pb2.EndSessionRequest(session_id=session))
        told.ended.append(session)

    async def _proved(self, session: str) -> tuple[Any, Any]:
        """A proof and its answer; one that waited for too long, or for others, is given anew."""
        while True:
            try_of = proof(session)
            try:
                return try_of, await self.ask(self.stubs["banking"].AuthenticateCustomer, try_of)
            except grpc.aio.AioRpcError as error:
                if Refused.of(error).detail.code not in PROVE_ANEW:
                    raise

    async def _transact(self, session: str) -> None:
        wanted = banking_pb2.TransactionRequest(
            transaction_id=str(uuid4()), session_id=session, customer_id="200417",
            transaction_type=banking_pb2.TRANSACTION_TYPE_CARD_INQUIRY,
        )  # fmt: skip
        while True:
            answer = await self.ask(self.stubs["banking"].ProcessTransaction, wanted)
            if answer.outcome == banking_pb2.TransactionResponse.OUTCOME_COMPLETED:
                break
        reference = str(answer.response_data["reference"])
        self.told.done[wanted.transaction_id] = (session, reference)

    async def reach(self, more: int) -> None:
        wanted = self.told.count + more
        async with asyncio.timeout(120):
            while self.told.count < wanted:  # noqa: ASYNC110
                await asyncio.sleep(0.02)


async def through_a_kill(load: Load, victim: Victim) -> None:
    """The load goes on before, while and after the victim is gone."""
    async with asyncio.TaskGroup() as group:
        for number in range(WRITERS):
            group.create_task(load.write(number))
        await load.reach(MORE)
        await asyncio.to_thread(victim.kill)
        await asyncio.sleep(0.3)
        await asyncio.to_thread(victim.start)
        await load.reach(MORE)
        load.stopping = True


@dataclass
class World:
    """The stores, the bank, and what services are started with."""

    installation: Installation
    database_url: str
    postgres: Victim
    redis: Victim
    bank: FakeBank


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    (tmp_path / "redis").mkdir()
    with killable_postgres() as (postgres, url), killable_redis(tmp_path / "redis") as (redis, at):
        async with FakeBank() as bank:
            installation = Installation(tmp_path, url, at, bank.url)
            await installation.prepared(url)
            yield World(installation, url, postgres, redis, bank)


@asynccontextmanager
async def loading(world: World, ports: Mapping[str, int]) -> AsyncIterator[Load]:
    kinds = {
        "session-manager": session_pb2_grpc.SessionManagerServiceStub,
        "context-store": context_pb2_grpc.ContextStoreServiceStub,
        "banking": banking_pb2_grpc.BankingServiceStub,
    }
    async with AsyncExitStack() as stack:
        stubs = {}
        for role, kind in kinds.items():
            on = await stack.enter_async_context(channel(ports[role], world.installation.agent))
            stubs[role] = stub(kind, on)
        yield Load(stubs, world.installation.tokens.metadata(AGENT))


async def rows(world: World, sql: str) -> list[Any]:
    async with database(world.database_url) as connected, connected.transaction() as connection:
        return list((await connection.execute(text(sql))).all())


async def all_is_there_once(world: World, told: Acknowledged) -> None:
    keys = read_keys(world.installation.sealing)
    sessions = {str(row[0]): row[1] for row in await rows(
        world, "SELECT session_id, status FROM call_sessions")}  # fmt: skip
    assert set(told.sessions) <= set(sessions)
    assert {sessions[session] for session in told.ended} == {"COMPLETED"}
    assert len(sessions) <= len(told.sessions) + WRITERS

    async with database(world.database_url) as connected:
        contexts = PostgresContexts(connected, keys)
        for session, acknowledged in told.said.items():
            context = await contexts.of_session(UUID(session))
            assert context is not None
            said = [one.content for one in context.history]
            assert said[: len(acknowledged)] == acknowledged
            assert len(said) == len(set(said)) <= len(acknowledged) + 1

        recorded = {str(row[0]): row for row in await rows(
            world,
            "SELECT transaction_id, session_id, response_data IS NOT NULL,"
            " authentication_status FROM banking_transactions")}  # fmt: skip
        for transaction, (session, _) in told.done.items():
            assert (str(recorded[transaction][1]), recorded[transaction][2]) == (session, True)
        for request, session in told.verified.items():
            assert (str(recorded[request][1]), recorded[request][3]) == (session, "VERIFIED")
        references = [reference for _, reference in told.done.values()]
        assert len(references) == len(set(references))
        await same_references(connected, keys, told)

        found = await audit.verify(connected, keys)
        assert found.broken == ()
        assert found.rows >= 2 * (len(told.done) + len(told.verified))


async def same_references(connected: Database, keys: Sealer, told: Acknowledged) -> None:
    """What the bank's answer was, is what is recorded: it acted once for each transaction."""
    for transaction, (session, reference) in told.done.items():
        statement = text(
            "SELECT response_data FROM banking_transactions"
            " WHERE transaction_id = :transaction AND session_id = :session"
        )
        given = {"transaction": UUID(transaction), "session": UUID(session)}
        async with connected.transaction() as connection:
            sealed: Any = (await connection.execute(statement, given)).scalar_one()
        answer = keys.open(sealed, place("response_data", UUID(transaction)))
        assert answer["reference"] == reference


@pytest.mark.parametrize("role", STORED)
async def test_a_service_is_killed(world: World, role: str) -> None:
    others = [one for one in STORED if one != role]
    serving = world.installation.serving
    with serving(role) as victim, serving(*others) as rest:
        ports = dict.fromkeys(others, rest.port) | {role: victim.port}
        async with loading(world, ports) as load:
            await through_a_kill(load, victim)
    await all_is_there_once(world, load.told)


@pytest.mark.parametrize("store", ["postgres", "redis"])
async def test_a_store_is_killed(world: World, store: str) -> None:
    victims: dict[str, Victim] = {"postgres": world.postgres, "redis": world.redis}
    with world.installation.serving(*STORED) as service:
        async with loading(world, dict.fromkeys(STORED, service.port)) as load:
            await through_a_kill(load, victims[store])
    await all_is_there_once(world, load.told)


# --- what answers and speaks ------------------------------------------------------------------


async def test_an_answer_that_was_given_before_the_kill_is_remembered_once(world: World) -> None:
    serving, agent = world.installation.serving, world.installation.agent
    metadata = world.installation.tokens.metadata(AGENT)
    with serving("session-manager", "context-store") as rest, serving("llm") as victim:
        async with channel(rest.port, agent) as kept, channel(victim.port, agent) as on:
            sessions = stub(session_pb2_grpc.SessionManagerServiceStub, kept)
            contexts = stub(context_pb2_grpc.ContextStoreServiceStub, kept)
            call = session_pb2.CallSession(sip_call_id="a@b")
            made = await sessions.CreateSession(call, metadata=metadata, timeout=60)
            talk = Talk(stub(llm_pb2_grpc.LLMServiceStub, on), made.session_id, metadata)
            async with asyncio.TaskGroup() as group:
                group.create_task(talk.go_on())
                await talk.reach(5)
                await asyncio.to_thread(victim.kill)
                await asyncio.to_thread(victim.start)
                await talk.reach(len(talk.acknowledged) + 5)
                talk.stopping = True
            question = context_pb2.ContextRequest(session_id=made.session_id)
            context = await contexts.GetContext(question, metadata=metadata, timeout=60)
    said = [
        one.content for one in context.conversation_history if one.role == context_pb2.ROLE_CALLER
    ]
    assert [one for one in said if one in talk.acknowledged] == talk.acknowledged
    assert len(said) == len(set(said))


@dataclass
class Talk:
    """One sentence after the other, each said once."""

    llm: Any
    session: str
    metadata: Any
    acknowledged: list[str] = field(default_factory=list)
    stopping: bool = False
    conflicts: int = 0

    async def go_on(self) -> None:
        number = 0
        while not self.stopping:
            number += 1
            name = "".join("abcdefghij"[int(digit)] for digit in str(number))  # digits are not kept
            question = llm_pb2.TextProcessingRequest(text=f"hello {name}", session_id=self.session)
            try:
                if await answered(self.llm, question, self.metadata):
                    self.acknowledged.append(question.text)
            except grpc.aio.AioRpcError as error:
                # The killed one has written what its successor did not find in Redis: said once.
                self.conflicts += 1
                if error.code() is not grpc.StatusCode.ABORTED or self.conflicts > 1:
                    raise

    async def reach(self, count: int) -> None:
        async with asyncio.timeout(120):
            while len(self.acknowledged) < count:  # noqa: ASYNC110
                await asyncio.sleep(0.02)


async def answered(llm: Any, question: Any, metadata: Any) -> bool:
    """Whether the answer came to its end."""
    ended = False
    try:
        pieces = llm.ProcessText(question, metadata=metadata, timeout=60, wait_for_ready=True)
        async for piece in pieces:
            ended = bool(piece.finish_reason)
    except grpc.aio.AioRpcError as error:
        if error.code() not in AGAIN:
            raise
        return False
    return ended


def sound() -> common_pb2.AudioChunk:
    return common_pb2.AudioChunk(
        audio_data=bytes(3200), sample_rate=8000, format=common_pb2.AUDIO_FORMAT_PCM_S16LE
    )


async def quiet_for_long(first: common_pb2.AudioChunk) -> AsyncIterator[common_pb2.AudioChunk]:
    yield first
    while True:
        await asyncio.sleep(0.1)
        yield sound()


async def hear(kind: Any, name: str, on: Any, metadata: Any) -> Any:
    rpc = getattr(stub(kind, on), name)
    return rpc(quiet_for_long(sound()), metadata=metadata, wait_for_ready=True)


async def speak(on: Any, metadata: Any) -> Any:
    request = tts_pb2.TextSynthesisRequest(
        text="One more sentence. " * 400, session_id=str(uuid4()), sample_rate=8000,
        format=common_pb2.AUDIO_FORMAT_PCM_S16LE,
    )  # fmt: skip
    tts = stub(tts_pb2_grpc.TTSServiceStub, on)
    return tts.SynthesizeText(request, metadata=metadata, wait_for_ready=True)


async def converse(on: Any, metadata: Any) -> Any:
    connector = stub(connector_pb2_grpc.AIVoiceConnectorServiceStub, on)
    request = connector_pb2.CreateSessionRequest(
        format=common_pb2.AUDIO_FORMAT_PCM_S16LE, sample_rate=8000
    )
    made = await connector.CreateSession(request, metadata=metadata, wait_for_ready=True)
    first = sound()
    first.session_id = made.session_id
    return connector.ProcessAudioStream(quiet_for_long(first), metadata=metadata)


STREAMS: dict[str, Callable[[Any, Any], Awaitable[Any]]] = {
    "vad": lambda on, metadata: hear(vad_pb2_grpc.VADServiceStub, "ProcessAudio", on, metadata),
    "asr": lambda on, metadata: hear(asr_pb2_grpc.ASRServiceStub, "RecognizeSpeech", on, metadata),
    "tts": speak,
    "ai-voice-connector": converse,
}


@pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="espeak-ng is not installed here")
@pytest.mark.parametrize(
    "role", [pytest.param(role, marks=pytest.mark.drill) for role in SPOKEN[:3]] + [SPOKEN[3]]
)
async def test_a_stream_whose_service_is_killed_ends_at_once_and_the_next_one_is_served(
    world: World, role: str
) -> None:
    metadata = world.installation.tokens.metadata(CLIENT)
    with world.installation.serving(role) as victim:
        async with channel(victim.port, world.installation.client) as on:
            stream = await STREAMS[role](on, metadata)
            await begun(stream, role)
            await asyncio.to_thread(victim.kill)
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await asyncio.wait_for(drained(stream), 10)
            assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
            await asyncio.to_thread(victim.start)
            again = await STREAMS[role](on, metadata)
            await begun(again, role)
            again.cancel()
    if role == "ai-voice-connector":
        found = await rows(world, "SELECT owner, status FROM call_sessions")
        assert [row[0] for row in found] == [CLIENT, CLIENT]  # each is recorded, once


@pytest.mark.spoken(minutes=2.8)
@pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="espeak-ng is not installed here")
@pytest.mark.parametrize(
    "what", [pytest.param("the container", marks=pytest.mark.drill), "the pod"]
)
async def test_a_conversation_goes_on_after_the_death_of(
    what: str, world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    metadata = world.installation.tokens.metadata(CLIENT)
    monkeypatch.setenv("POD_NAME", "connector-0")
    monkeypatch.setenv("CALLFLEET_JOURNAL", str(tmp_path / "journal"))
    with world.installation.serving("ai-voice-connector") as victim:
        async with channel(victim.port, world.installation.client) as on:
            avc = stub(connector_pb2_grpc.AIVoiceConnectorServiceStub, on)
            session = (await created(avc, metadata)).session_id
            await until_said(avc, metadata, session, 2, "where is my credit card", within_s=120)
            await wanted_in(world, session)
            await asyncio.to_thread(victim.kill)
            if what == "the pod":  # another one, without its journal
                shutil.rmtree(tmp_path / "journal")
                monkeypatch.setenv("POD_NAME", "connector-1")
            await asyncio.to_thread(victim.start)

            later = await created(avc, metadata, session)
            await until_said(avc, metadata, session, 2, "yes please", within_s=120)
            over = session_pb2.EndSessionRequest(session_id=session)
            ended = await avc.EndSession(over, metadata=metadata)
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await avc.CreateSession(
                    connector_pb2.CreateSessionRequest(
                        format=common_pb2.AUDIO_FORMAT_PCMU, sample_rate=8000, session_id=session
                    ),
                    metadata=metadata,
                )

    assert Refused.of(caught.value).detail.code == "SESSION_ENDED"
    assert later.status == session_pb2.SESSION_STATUS_ACTIVE
    assert later.session_id == ended.session_id != session
    before = "ACTIVE" if what == "the pod" else "INTERRUPTED"
    found = await rows(
        world,
        "SELECT session_id::text, status, avc_instance FROM call_sessions ORDER BY created_at",
    )
    pod = "connector-1" if what == "the pod" else "connector-0"
    assert [tuple(row) for row in found] == [
        (session, before, "connector-0"), (later.session_id, "COMPLETED", pod),
    ]  # fmt: skip
    said = await wanted_in(world, later.session_id)
    assert "Shall we go on where we were?" in " ".join(said)
    assert "customer number" in " ".join(said)  # what they want is known, and not asked


async def created(avc: Any, metadata: Any, session: str = "") -> Any:
    """A session; while another replica may have it, it is asked for again."""
    request = connector_pb2.CreateSessionRequest(
        format=common_pb2.AUDIO_FORMAT_PCMU, sample_rate=8000, session_id=session
    )
    async with asyncio.timeout(60):
        while True:
            try:
                return await avc.CreateSession(request, metadata=metadata, wait_for_ready=True)
            except grpc.aio.AioRpcError as error:
                if Refused.of(error).detail.code != "SESSION_ELSEWHERE":
                    raise
                await asyncio.sleep(1)


async def wanted_in(world: World, session: str) -> list[str]:
    """What was said in a session whose record says what is wanted."""
    keys = read_keys(world.installation.sealing)
    async with database(world.database_url) as connected, asyncio.timeout(30):
        while True:
            context = await PostgresContexts(connected, keys).of_session(UUID(session))
            if context is not None and context.current_intent:
                return [line.content for line in context.history]
            await asyncio.sleep(0.1)


async def drained(stream: Any) -> None:
    async for _ in stream:
        pass


async def begun(stream: Any, role: str) -> None:
    """The service is at work on it. Recognition says nothing while it is quiet."""
    if role == "asr":
        await asyncio.wait_for(stream.initial_metadata(), 60)
        return
    await asyncio.wait_for(anext(aiter(stream)), 60)


def test_every_role_is_killed() -> None:
    assert set(ROLES) == {*STORED, "llm", *SPOKEN}
