"""Replicas of ai-voice-connector: a client is served whichever of them it meets.

The conversations are fakes that say back what they hear; all around them is real.
"""

import asyncio
import io
import json
import logging
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import grpc
import pytest

from callfleet.v1 import common_pb2, connector_pb2, connector_pb2_grpc
from callfleet.v1 import session_pb2 as session_pb
from callfleet_agent.app.logs import JsonFormatter
from callfleet_agent.app.platform_metrics import PlatformMetrics
from callfleet_agent.audio import Pcm8k
from callfleet_agent.identity import TlsFiles
from callfleet_agent.services import connector
from callfleet_agent.services.actor import acts_for
from callfleet_agent.services.bucket import Limit
from callfleet_agent.services.connector import Activity, CallStatus, ConnectorService
from callfleet_agent.services.edge import RELAYED_FOR, Edge
from callfleet_agent.services.errors import StreamTakenOverError
from callfleet_agent.services.inputs.speech import CallStart
from callfleet_agent.services.limits import Buckets, Limits
from callfleet_agent.services.ownership import asking
from callfleet_agent.services.peers import Peers
from callfleet_agent.services.policy import POLICY
from callfleet_agent.services.relaying import Recorded, RelayingConnector
from callfleet_agent.services.server import Part, ServiceServer
from callfleet_agent.services.tls import server_credentials
from callfleet_agent.services.tokens import KeySet, TokenVerifier
from callfleet_agent.session.commands import SessionCommands, StartSession
from callfleet_agent.session.errors import SessionEndedError, SessionNotFoundError
from callfleet_agent.session.queries import SessionQueries
from callfleet_agent.session.record import SessionStatus
from callfleet_agent.storage.sessions import PostgresSessions
from identities import AGENT, CLIENT, HOST, ISSUER, Authority, Tokens, channel
from platform_rig import Refused, stub
from ports import free_port
from spoken_streams import PCMU, chunks, finished, refused
from stores import Server, database, migrated, new_id, now, sealer

HOME = "callfleet-system"
REPLICA = f"spiffe://callfleet.io/ns/{HOME}/service/ai-voice-connector"
OTHER = CLIENT.replace("kiosk", "other")
ACTIVE, COMPLETED = session_pb.SESSION_STATUS_ACTIVE, session_pb.SESSION_STATUS_COMPLETED
LIMIT_S = 60.0  # for everything that comes by itself: tests share a machine
SOUND = Pcm8k(bytes(range(256)) * 10)


@dataclass
class FakeCalls:
    """The calls of one replica: what is heard is said back."""

    owners: dict[UUID, str] = field(default_factory=dict)
    calls: dict[UUID, CallStatus] = field(default_factory=dict)
    streams: int = 0
    asked: int = 0
    stops: Exception | None = None  # what streams end with after their second chunk
    stopping: bool = False

    async def start(self, given: CallStart, owner: str) -> CallStatus:
        session_id = given.session_id or uuid4()
        if session_id not in self.calls:
            self.owners[session_id] = owner
            self.calls[session_id] = CallStatus(
                session_id, SessionStatus.ACTIVE, Activity.HEARING, now(), 1.5, 2, 3,
                given.format, given.sample_rate,
            )  # fmt: skip
        return self.status(session_id, owner)

    def status(self, session_id: UUID, owner: str) -> CallStatus:
        self.asked += 1
        if self.owners.get(session_id) != owner:
            raise SessionNotFoundError
        return self.calls[session_id]

    async def end(self, session_id: UUID, owner: str, status: SessionStatus) -> CallStatus:
        call = replace(self.status(session_id, owner), status=status)
        self.calls[session_id] = call
        return call

    async def hold(
        self, session_id: UUID, sound: AsyncIterator[Pcm8k]
    ) -> AsyncGenerator[tuple[Pcm8k, bool], None]:
        if self.calls[session_id].status is not SessionStatus.ACTIVE:
            raise SessionEndedError
        self.streams += 1
        heard = 0
        try:
            async for piece in sound:
                yield piece, False
                heard += 1
                if self.stopping and heard == 2:
                    if self.stops is not None:
                        raise self.stops
                    return
        finally:
            self.streams -= 1


@dataclass
class Replica:
    """One of them, and a client's way to it."""

    calls: FakeCalls
    server: ServiceServer
    port: int
    avc: Any


@dataclass
class World:
    """All replicas, and who may issue certificates and tokens."""

    folder: Path
    authority: Authority
    tokens: Tokens
    files: TlsFiles
    ports: list[int]
    stack: AsyncExitStack
    sessions: PostgresSessions | None = None
    buckets: Buckets = field(default_factory=lambda: Buckets(None))
    limit: Limit = field(default_factory=lambda: Limit(60_000.0, 1000.0))
    ask_s: float = LIMIT_S

    async def replica(self, place: int, home: str = HOME) -> Replica:
        calls, here = FakeCalls(), self.files
        named = [f"127.0.0.1:{port}" for port in self.ports]
        peers = Peers(named, here, HOST, ask_s=self.ask_s)
        self.stack.push_async_callback(peers.close)
        recorded: Recorded | None = None
        if self.sessions is not None:
            commands = SessionCommands(self.sessions, now, new_id)
            recorded = Recorded(SessionQueries(self.sessions), commands)
        part = Part(
            connector.NAME,
            connector_pb2_grpc.add_AIVoiceConnectorServiceServicer_to_server,
            RelayingConnector(ConnectorService(calls), calls, peers, recorded),
            connector.READERS,
        )
        edge = Edge(
            rules=POLICY,
            readers=part.readers,
            verifier=TokenVerifier(KeySet(self.tokens.path), ISSUER),
            buckets=self.buckets,
            watcher=PlatformMetrics(),
            limits=Limits(self.limit),
            home=home,
        )
        server = ServiceServer([part], edge, server_credentials(here))
        await server.start("127.0.0.1", self.ports[place])
        self.stack.push_async_callback(server.close, 0.1)
        avc = await self.client(self.ports[place], CLIENT)
        return Replica(calls, server, self.ports[place], avc)

    async def client(self, port: int, identity: str) -> Any:
        files = self.authority.issue(self.folder / str(uuid4()), identity)
        on = await self.stack.enter_async_context(channel(port, files))
        return stub(connector_pb2_grpc.AIVoiceConnectorServiceStub, on)

    def token(self, identity: str = CLIENT) -> Any:
        return self.tokens.metadata(identity)


@asynccontextmanager
async def worlds(folder: Path, replicas: int = 3) -> AsyncIterator[World]:
    authority = Authority()
    files = authority.issue(folder / "replica", REPLICA)
    async with AsyncExitStack() as stack:
        ports = [free_port() for _ in range(replicas)]
        yield World(folder, authority, Tokens(folder / "jwks.json"), files, ports, stack)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with worlds(tmp_path) as made:
        yield made


def new(session: str = "") -> connector_pb2.CreateSessionRequest:
    return connector_pb2.CreateSessionRequest(format=PCMU, sample_rate=8000, session_id=session)


def asked(session: str) -> connector_pb2.SessionStatusRequest:
    return connector_pb2.SessionStatusRequest(session_id=session)


def ending(session: str) -> session_pb.EndSessionRequest:
    return session_pb.EndSessionRequest(session_id=session)


async def heard(avc: Any, session: str, metadata: Any) -> list[common_pb2.AudioChunk]:
    said = chunks(SOUND, 160, session_id=session)
    return [one async for one in avc.ProcessAudioStream(iter(said), metadata=metadata)]


async def kept_open(session: str) -> AsyncIterator[common_pb2.AudioChunk]:
    yield chunks(SOUND, 160, session_id=session)[0]
    await asyncio.Event().wait()


async def until(condition: Any) -> None:
    async with asyncio.timeout(LIMIT_S):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.02)


async def test_a_session_is_found_whichever_replica_is_asked(world: World) -> None:
    one, two, three = [await world.replica(place) for place in range(3)]
    session = (await one.avc.CreateSession(new(), metadata=world.token())).session_id

    there = await two.avc.GetSessionStatus(asked(session), metadata=world.token())
    here = await one.avc.GetSessionStatus(asked(session), metadata=world.token())
    sound = await heard(two.avc, session, world.token())
    directly = await heard(one.avc, session, world.token())
    again = await three.avc.CreateSession(new(session), metadata=world.token())
    ended = await three.avc.EndSession(ending(session), metadata=world.token())
    after = await two.avc.GetSessionStatus(asked(session), metadata=world.token())
    over = await refused(two.avc.ProcessAudioStream(kept_open(session), metadata=world.token()))

    assert there.correlation_id != here.correlation_id
    there.correlation_id = here.correlation_id
    assert there == here
    assert (there.status, there.turns, there.epoch) == (ACTIVE, 2, 3)
    assert there.activity == there.ACTIVITY_HEARING
    assert b"".join(c.audio_data for c in sound) == b"".join(c.audio_data for c in directly) != b""
    assert [c.sequence_number for c in sound] == list(range(len(directly)))
    assert again.session_id == session
    assert (ended.status, after.status) == (COMPLETED, COMPLETED)
    assert (over.code, over.detail.code) == (grpc.StatusCode.FAILED_PRECONDITION, "SESSION_ENDED")
    assert "session_id" in over.fields
    assert not two.calls.calls
    assert not three.calls.calls


async def test_a_session_that_goes_on_elsewhere_is_stronger_than_one_that_broke_off_here(
    world: World,
) -> None:
    one, two, three = [await world.replica(place) for place in range(3)]
    session = str(uuid4())
    await one.avc.CreateSession(new(session), metadata=world.token())
    await one.calls.end(UUID(session), CLIENT, SessionStatus.INTERRUPTED)
    broken_off = await three.avc.GetSessionStatus(asked(session), metadata=world.token())
    await two.avc.CreateSession(new(session), metadata=world.token())

    statuses = [
        (await replica.avc.GetSessionStatus(asked(session), metadata=world.token())).status
        for replica in (one, two, three)
    ]

    assert broken_off.status == session_pb.SESSION_STATUS_INTERRUPTED
    assert statuses == [ACTIVE, ACTIVE, ACTIVE]


async def test_who_holds_a_session_is_asked_first_and_looked_for_when_it_has_moved(
    world: World,
) -> None:
    one, two, three = [await world.replica(place) for place in range(3)]
    session = str(uuid4())
    await one.avc.CreateSession(new(session), metadata=world.token())
    await three.avc.GetSessionStatus(asked(session), metadata=world.token())
    before = two.calls.asked
    await three.avc.GetSessionStatus(asked(session), metadata=world.token())
    after = two.calls.asked
    await one.calls.end(UUID(session), CLIENT, SessionStatus.INTERRUPTED)
    await two.avc.CreateSession(new(session), metadata=world.token())
    moved = await three.avc.GetSessionStatus(asked(session), metadata=world.token())

    assert after == before
    assert moved.status == ACTIVE


async def test_to_another_client_it_is_nowhere(world: World) -> None:
    one, two = [await world.replica(place) for place in range(2)]
    await world.replica(2)
    session = (await one.avc.CreateSession(new(), metadata=world.token())).session_id
    stranger = await world.client(two.port, OTHER)
    theirs = {"metadata": world.token(OTHER)}

    refusals = [
        await refused(stranger.GetSessionStatus(asked(session), **theirs)),
        await refused(stranger.EndSession(ending(session), **theirs)),
        await refused(stranger.ProcessAudioStream(kept_open(session), **theirs)),
    ]

    assert {(one.code, one.detail.code) for one in refusals} == {
        (grpc.StatusCode.NOT_FOUND, "SESSION_NOT_FOUND")
    }
    assert one.calls.calls[UUID(session)].status is SessionStatus.ACTIVE


async def test_a_request_is_believed_to_be_a_clients_with_its_token_and_from_a_replica_only(
    world: World,
) -> None:
    one = await world.replica(0)
    session = (await one.avc.CreateSession(new(), metadata=world.token())).session_id
    stranger, kiosk = world.token(OTHER), world.token()
    for_kiosk = ((RELAYED_FOR, CLIENT),)
    cases = {
        "no client named": (REPLICA, kiosk, "IDENTITY_FORBIDDEN"),
        "a token of another client": (REPLICA, stranger + for_kiosk, "TOKEN_OF_ANOTHER"),
        "a token of its own": (REPLICA, world.token(REPLICA) + for_kiosk, "TOKEN_OF_ANOTHER"),
        "no token": (REPLICA, for_kiosk, "TOKEN_MISSING"),
        "for an agent": (
            REPLICA, (*world.token(AGENT), (RELAYED_FOR, AGENT)), "IDENTITY_FORBIDDEN",
        ),
        "for another replica": (
            REPLICA, (*world.token(REPLICA), (RELAYED_FOR, REPLICA)), "IDENTITY_FORBIDDEN",
        ),
        "from another namespace": (
            REPLICA.replace(HOME, "bank"), kiosk + for_kiosk, "IDENTITY_FORBIDDEN",
        ),
        "from another service": (
            REPLICA.replace("ai-voice-connector", "llm"), kiosk + for_kiosk, "IDENTITY_FORBIDDEN",
        ),
        "from another client": (OTHER, stranger + for_kiosk, "SESSION_NOT_FOUND"),
        "from another client with a token": (OTHER, kiosk + for_kiosk, "TOKEN_OF_ANOTHER"),
    }  # fmt: skip

    for name, (identity, metadata, code) in cases.items():
        avc = await world.client(one.port, identity)
        said = await refused(avc.EndSession(ending(session), metadata=metadata))
        # Only one of three replicas runs: for a client whose session is not here none is sure.
        expected = "SESSION_AWAY" if code == "SESSION_NOT_FOUND" else code
        assert said.detail.code == expected, name

    replica = await world.client(one.port, REPLICA)
    brought = await replica.EndSession(ending(session), metadata=kiosk + for_kiosk)
    assert brought.status == COMPLETED


async def test_a_replica_that_does_not_answer_leaves_it_open_where_a_session_is(
    world: World,
) -> None:
    one, two = [await world.replica(place) for place in range(2)]
    await world.replica(2, home="")  # of a version that takes nothing from other replicas
    session = (await one.avc.CreateSession(new(), metadata=world.token())).session_id
    found = await two.avc.GetSessionStatus(asked(session), metadata=world.token())
    unknown = str(uuid4())

    unsure = [
        await refused(two.avc.GetSessionStatus(asked(unknown), metadata=world.token())),
        await refused(two.avc.EndSession(ending(unknown), metadata=world.token())),
        await refused(two.avc.ProcessAudioStream(kept_open(unknown), metadata=world.token())),
    ]
    begun = await two.avc.CreateSession(new(unknown), metadata=world.token())

    assert found.status == ACTIVE
    for said in unsure:
        assert (said.code, said.detail.code) == (grpc.StatusCode.UNAVAILABLE, "SESSION_AWAY")
        assert said.detail.retryable
        assert said.retry_s == 1.0
    assert begun.session_id == unknown


async def test_a_log_line_says_which_session_and_request_it_is_about(world: World) -> None:
    two = await world.replica(1)  # and no other
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    handler.setFormatter(JsonFormatter("ai-voice-connector"))
    told = logging.getLogger("callfleet_agent")
    told.addHandler(handler)
    unknown = str(uuid4())
    try:
        said = [
            await refused(two.avc.GetSessionStatus(asked(unknown), metadata=world.token())),
            await refused(two.avc.ProcessAudioStream(kept_open(unknown), metadata=world.token())),
        ]
    finally:
        told.removeHandler(handler)
    lines = [json.loads(line) for line in written.getvalue().splitlines()]

    assert {line["session_id"] for line in lines} == {unknown}
    assert {line["correlation_id"] for line in lines} == {one.detail.correlation_id for one in said}


async def test_when_the_replica_dies_the_client_hears_that_it_may_try_again(world: World) -> None:
    one, two = [await world.replica(place) for place in range(2)]
    await world.replica(2)
    session = (await one.avc.CreateSession(new(), metadata=world.token())).session_id
    stream = two.avc.ProcessAudioStream(kept_open(session), metadata=world.token())
    await anext(aiter(stream))

    await one.server.close(0)
    broken = await refused(stream)
    status = await refused(two.avc.GetSessionStatus(asked(session), metadata=world.token()))
    begun = await two.avc.CreateSession(new(session), metadata=world.token())
    sound = await heard(two.avc, session, world.token())

    assert (broken.code, broken.detail.code) == (grpc.StatusCode.UNAVAILABLE, "SESSION_AWAY")
    assert broken.detail.retryable
    assert status.detail.code == "SESSION_AWAY"
    assert begun.session_id == session
    assert sound


async def test_a_stream_ends_on_both_replicas_however_it_ends(world: World) -> None:
    one, two = [await world.replica(place) for place in range(2)]
    session = (await one.avc.CreateSession(new(), metadata=world.token())).session_id
    stream = two.avc.ProcessAudioStream(kept_open(session), metadata=world.token())
    await anext(aiter(stream))
    assert one.calls.streams == 1
    stream.cancel()
    await until(lambda: one.calls.streams == 0)

    async def wrong() -> AsyncIterator[common_pb2.AudioChunk]:
        for chunk in chunks(SOUND, 160, session_id=session)[:3]:
            yield chunk
        yield common_pb2.AudioChunk(audio_data=bytes(320), sample_rate=16000, format=PCMU)
        await asyncio.Event().wait()

    invalid = await refused(two.avc.ProcessAudioStream(wrong(), metadata=world.token()))
    await until(lambda: one.calls.streams == 0)
    late = two.avc.ProcessAudioStream(kept_open(session), metadata=world.token(), timeout=0.5)
    with pytest.raises(grpc.aio.AioRpcError) as over:
        await finished(late)
    await until(lambda: one.calls.streams == 0)

    assert invalid.code is grpc.StatusCode.INVALID_ARGUMENT
    assert "sample_rate" in invalid.fields
    assert over.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED


@pytest.mark.parametrize("stops", [None, StreamTakenOverError()], ids=["well", "taken over"])
async def test_how_a_stream_ended_is_heard_also_by_who_is_sending(
    world: World, stops: Exception | None
) -> None:
    one, two = [await world.replica(place) for place in range(2)]
    session = (await one.avc.CreateSession(new(), metadata=world.token())).session_id
    one.calls.stopping, one.calls.stops = True, stops
    said = chunks(Pcm8k.silence(160 * 12), 160, session_id=session)
    ends: list[str] = []
    for burst in range(2, 12):
        over = asyncio.Event()

        async def caller(burst: int = burst, over: asyncio.Event = over) -> AsyncIterator[Any]:
            for chunk in said[:burst]:
                yield chunk
            await over.wait()

        stream = two.avc.ProcessAudioStream(caller(), metadata=world.token())
        try:
            await asyncio.wait_for(finished(stream), LIMIT_S)
        except grpc.aio.AioRpcError as error:
            ends.append(Refused.of(error).detail.code)
        else:
            ends.append("OK")
        over.set()

    assert set(ends) == {"OK" if stops is None else "STREAM_TAKEN_OVER"}


async def test_a_client_that_sends_and_does_not_read_is_not_listened_to(world: World) -> None:
    one, two = [await world.replica(place) for place in range(2)]
    session = (await one.avc.CreateSession(new(), metadata=world.token())).session_id
    stream = two.avc.ProcessAudioStream(metadata=world.token())
    said, written = chunks(Pcm8k.silence(16_000), 16_000, session_id=session)[0], 0

    async def send() -> None:
        nonlocal written
        while written < 50_000:  # 800 MB
            said.sequence_number = written
            await stream.write(said)
            written += 1

    async def goes_on() -> bool:
        """Whether something is written while others are answered, again and again."""
        before = written
        for _ in range(10):
            await two.avc.GetSessionStatus(asked(session), metadata=world.token())
            await asyncio.sleep(0.2)
        return written > before

    sending = asyncio.create_task(send())
    await until(lambda: written > 10)
    while await goes_on():
        pass
    assert not sending.done()
    stream.cancel()
    await asyncio.wait([sending])
    await until(lambda: one.calls.streams == 0)


async def test_a_request_that_is_relayed_counts_once(world: World) -> None:
    world.limit = Limit(0.001, 4.0)
    one, two = [await world.replica(place) for place in range(2)]
    await world.replica(2)
    session = (await one.avc.CreateSession(new(), metadata=world.token())).session_id

    for _ in range(3):
        await two.avc.GetSessionStatus(asked(session), metadata=world.token())
    over = await refused(two.avc.GetSessionStatus(asked(session), metadata=world.token()))

    assert over.detail.code == "RATE_LIMITED"


async def test_what_no_replica_holds_is_answered_with_what_is_written(
    world: World, postgres: Server
) -> None:
    await asyncio.to_thread(migrated, postgres.url)
    limits = {"pool_wait_s": LIMIT_S, "connect_s": LIMIT_S, "statement_s": LIMIT_S}
    async with database(postgres.url, **limits) as connected:
        world.sessions = PostgresSessions(connected, sealer(), asking(HOME))
        one, two, _ = [await world.replica(place) for place in range(3)]
        session = new_id()
        mine = PostgresSessions(connected, sealer(), asking(HOME))
        with acts_for(CLIENT):
            await SessionCommands(mine, now, new_id).start(
                StartSession(session_id=session, sip_call_id=f"{session}@stream")
            )
        stranger = await world.client(two.port, OTHER)
        metadata = world.token(OTHER)
        of_another = [
            await refused(stranger.GetSessionStatus(asked(str(session)), metadata=metadata)),
            await refused(stranger.EndSession(ending(str(session)), metadata=metadata)),
        ]
        cut_off = await one.avc.GetSessionStatus(asked(str(session)), metadata=world.token())
        no_stream = await refused(
            one.avc.ProcessAudioStream(kept_open(str(session)), metadata=world.token())
        )
        ended = await two.avc.EndSession(ending(str(session)), metadata=world.token())
        after = await one.avc.GetSessionStatus(asked(str(session)), metadata=world.token())

    assert {said.detail.code for said in of_another} == {"SESSION_NOT_FOUND"}
    assert cut_off.status == session_pb.SESSION_STATUS_INTERRUPTED
    assert no_stream.detail.code == "SESSION_NOT_FOUND"
    assert (ended.status, after.status) == (COMPLETED, COMPLETED)
