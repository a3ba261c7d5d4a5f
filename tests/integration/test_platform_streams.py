"""AIVoiceConnector: conversations of programs over streams, held by worker processes."""

import asyncio
import logging
import os
import shutil
import signal
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import grpc
import psutil
import pytest
from sqlalchemy import text

from callfleet.v1 import common_pb2, connector_pb2, connector_pb2_grpc
from callfleet.v1 import session_pb2 as session_pb
from callfleet_agent.audio import Pcm8k
from callfleet_agent.banking import (
    AuthenticationRequest,
    AuthenticationStatus,
    CardDeliveryRequest,
    CardStatus,
    RequestRefusedError,
)
from callfleet_agent.banking.errors import NotVerifiedError
from callfleet_agent.storage.contexts import PostgresContexts
from callfleet_agent.storage.sealing import read_keys
from callfleet_agent.storage.sessions import PostgresSessions
from callfleet_agent.transport.bank_socket import SocketBank
from identities import CLIENT, channel
from platform_rig import PHONE, Refused, Rig, rigged, stub
from spoken_streams import PCM, PCMU, chunks, refused, spoken, tokens, until_said
from stores import Server, database, killable_postgres, migrated

ROLES = ("session-manager", "context-store", "ai-voice-connector")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.spoken(minutes=2.1),
    pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="espeak-ng is not installed here"),
]


@pytest.fixture
async def rig(tmp_path: Path, postgres: Server, redis_server: Server) -> AsyncIterator[Rig]:
    await asyncio.to_thread(migrated, postgres.url)
    more: dict[str, Any] = {"roles": ROLES, "per_minute": 60_000.0, "burst": 1000.0, "calls": 2}
    async with rigged(tmp_path, postgres.url, redis_server.url, **more) as running:
        files = running.authority.issue(tmp_path / "client", CLIENT)
        async with channel(running.platform.port, files) as client:
            running.as_agent, running.channel = running.channel, client
            yield running
            running.channel = running.as_agent


async def limits_hold(rig: Rig, avc: Any, session: str) -> None:
    """A pod takes so many conversations, and shows them to their client alone."""
    request = connector_pb2.CreateSessionRequest(format=PCM, sample_rate=16000)
    await avc.CreateSession(request, metadata=tokens(rig))
    full = await refused(avc.CreateSession(request, metadata=tokens(rig)))
    assert (full.code, full.detail.code) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "OVERLOADED")

    other_identity = CLIENT.replace("kiosk", "other")
    files = rig.authority.issue(rig.folder / "other", other_identity)
    async with channel(rig.platform.port, files) as other:
        question = connector_pb2.SessionStatusRequest(session_id=session)
        of_another = await refused(
            stub(connector_pb2_grpc.AIVoiceConnectorServiceStub, other).GetSessionStatus(
                question, metadata=tokens(rig, other_identity)
            )
        )
    assert of_another.code is grpc.StatusCode.NOT_FOUND

    unknown = common_pb2.AudioChunk(
        audio_data=bytes(320), format=PCM, sample_rate=8000, session_id=str(uuid4())
    )
    found = await refused(avc.ProcessAudioStream(iter([unknown]), metadata=tokens(rig)))
    assert (found.code, found.detail.code) == (grpc.StatusCode.NOT_FOUND, "SESSION_NOT_FOUND")


async def watch(avc: Any, rig: Rig, session: str, activities: list[int]) -> None:
    """What the agent does, each time that it is something else; until cancelled."""
    question = connector_pb2.SessionStatusRequest(session_id=session)
    while True:
        status = await avc.GetSessionStatus(question, metadata=tokens(rig))
        if activities[-1:] != [status.activity]:
            activities.append(status.activity)
        await asyncio.sleep(0.02)


async def test_a_program_holds_a_conversation_without_a_phone(rig: Rig, postgres: Server) -> None:
    avc = stub(connector_pb2_grpc.AIVoiceConnectorServiceStub, rig.channel)
    made = await avc.CreateSession(
        connector_pb2.CreateSessionRequest(format=PCMU, sample_rate=8000), metadata=tokens(rig)
    )
    session = made.session_id
    heard: list[common_pb2.AudioChunk] = []
    greeted = asyncio.Event()
    question = await spoken("where is my credit card")

    async def caller() -> AsyncIterator[common_pb2.AudioChunk]:
        yield chunks(Pcm8k.silence(160), session_id=session)[0]
        await greeted.wait()
        for number, chunk in enumerate(chunks(question, 160), 1):
            chunk.sequence_number = number
            yield chunk
        while True:
            await asyncio.sleep(0.5)
            yield common_pb2.AudioChunk(audio_data=b"\xff" * 160, sample_rate=8000, format=PCMU)

    async def listen() -> None:
        utterances = 0
        async for chunk in avc.ProcessAudioStream(caller(), metadata=tokens(rig)):
            heard.append(chunk)
            utterances += chunk.end_of_utterance
            if utterances >= 1:
                greeted.set()
            if utterances >= 2:
                return

    activities: list[int] = []
    watching = asyncio.create_task(watch(avc, rig, session, activities))

    async with asyncio.timeout(120):
        await listen()
    watching.cancel()
    await limits_hold(rig, avc, session)
    status = await avc.GetSessionStatus(
        connector_pb2.SessionStatusRequest(session_id=session), metadata=tokens(rig)
    )
    ended = await avc.EndSession(
        session_pb.EndSessionRequest(session_id=session), metadata=tokens(rig)
    )
    unseen = await rig.refused(
        rig.sessions.GetSession, session_pb.GetSessionRequest(session_id=session)
    )
    async with database(postgres.url) as connected, connected.transaction() as connection:
        columns = "SELECT session_id::text, owner, status FROM call_sessions"
        recorded = {row[0]: tuple(row[1:]) for row in await connection.execute(text(columns))}

    assert status.turns == 1  # the question; a welcome is none
    assert status.status == session_pb.SESSION_STATUS_ACTIVE
    assert ended.status == session_pb.SESSION_STATUS_COMPLETED
    assert recorded[session] == (CLIENT, "COMPLETED")
    assert unseen.detail.code == "SESSION_NOT_FOUND"  # an agent's, and it is a client's
    assert {chunk.format for chunk in heard} == {PCMU}
    assert [chunk.sequence_number for chunk in heard] == list(range(len(heard)))
    doing = connector_pb2.SessionStatusResponse.Activity
    assert {doing.ACTIVITY_HEARING, doing.ACTIVITY_SPEAKING} <= set(activities)
    asked = activities.index(doing.ACTIVITY_HEARING)
    assert doing.ACTIVITY_SPEAKING in activities[:asked]  # the welcome
    assert doing.ACTIVITY_SPEAKING in activities[asked:]  # the answer


async def kept_open(session: str) -> AsyncIterator[common_pb2.AudioChunk]:
    """A client that says nothing and does not stop."""
    yield chunks(Pcm8k.silence(160), session_id=session)[0]
    await asyncio.Event().wait()


async def test_the_newest_stream_of_its_client_takes_over_also_from_one_that_does_not_read(
    rig: Rig,
) -> None:
    avc = stub(connector_pb2_grpc.AIVoiceConnectorServiceStub, rig.channel)
    made = await avc.CreateSession(
        connector_pb2.CreateSessionRequest(format=PCMU, sample_rate=8000), metadata=tokens(rig)
    )
    session = made.session_id
    unread = avc.ProcessAudioStream(kept_open(session), metadata=tokens(rig))
    await unread.initial_metadata()
    asked = connector_pb2.SessionStatusRequest(session_id=session)
    speaking = connector_pb2.SessionStatusResponse.ACTIVITY_SPEAKING
    async with asyncio.timeout(90):  # a conversation that has begun is taken over, and goes on
        while True:
            told = await avc.GetSessionStatus(asked, metadata=tokens(rig))
            if told.activity == speaking:
                break
            await asyncio.sleep(0.1)
    other_identity = CLIENT.replace("kiosk", "other")
    files = rig.authority.issue(rig.folder / "other", other_identity)
    async with channel(rig.platform.port, files) as other, asyncio.timeout(120):
        theirs = stub(connector_pb2_grpc.AIVoiceConnectorServiceStub, other)
        of_another = await refused(
            theirs.ProcessAudioStream(kept_open(session), metadata=tokens(rig, other_identity))
        )
        racing = [
            avc.ProcessAudioStream(kept_open(session), metadata=tokens(rig)) for _ in range(3)
        ]
        ends = await asyncio.gather(*(ended_or_heard(one) for one in racing))
        first = await refused(unread)
    status = await avc.GetSessionStatus(
        connector_pb2.SessionStatusRequest(session_id=session), metadata=tokens(rig)
    )

    assert (of_another.code, of_another.detail.code) == (
        grpc.StatusCode.NOT_FOUND,
        "SESSION_NOT_FOUND",
    )
    assert sorted(ends) == ["STREAM_TAKEN_OVER", "STREAM_TAKEN_OVER", "heard"]
    assert (first.code, first.detail.code) == (grpc.StatusCode.ABORTED, "STREAM_TAKEN_OVER")
    assert first.detail.fault == common_pb2.ErrorDetail.FAULT_CALLER
    assert "session_id" in first.fields
    assert status.status == session_pb.SESSION_STATUS_ACTIVE
    assert status.epoch >= 1
    for one in racing:
        one.cancel()


async def ended_or_heard(stream: Any) -> str:
    """How it ended, or that a whole utterance was heard on it."""
    try:
        async for chunk in stream:
            if chunk.end_of_utterance:
                return "heard"
    except grpc.aio.AioRpcError as error:
        return Refused.of(error).detail.code
    return "ended"


@pytest.mark.slow
async def test_a_conversation_goes_on_over_a_new_stream_and_its_record_outlives_the_store(
    tmp_path: Path, redis_server: Server
) -> None:
    with killable_postgres() as (postgres, url):
        await asyncio.to_thread(migrated, url)
        more = {"roles": ("ai-voice-connector", "session-manager", "context-store"),
                "journal": tmp_path / "journal"}  # fmt: skip
        async with rigged(tmp_path, url, redis_server.url, **more) as rig:
            files = rig.authority.issue(tmp_path / "client", CLIENT)
            async with channel(rig.platform.port, files) as on:
                avc = stub(connector_pb2_grpc.AIVoiceConnectorServiceStub, on)
                made = await avc.CreateSession(
                    connector_pb2.CreateSessionRequest(format=PCMU, sample_rate=8000),
                    metadata=tokens(rig),
                )
                session = made.session_id
                await until_said(avc, tokens(rig), session, 2, "where is my credit card")
                await asyncio.to_thread(postgres.kill)
                await until_said(avc, tokens(rig), session, 1)
                ended = await avc.EndSession(
                    session_pb.EndSessionRequest(session_id=session), metadata=tokens(rig)
                )
                await asyncio.to_thread(postgres.start)
            async with asyncio.timeout(90):
                while depth(rig):  # noqa: ASYNC110, nothing tells of it
                    await asyncio.sleep(0.05)
        keys = read_keys(tmp_path / "sealing")
        async with database(url) as connected:
            found = await PostgresSessions(connected, keys).by_id(UUID(session))
            context = await PostgresContexts(connected, keys).of_session(UUID(session))
    assert ended.status == session_pb.SESSION_STATUS_COMPLETED
    assert found is not None
    assert found.status == "COMPLETED"
    assert context is not None
    told = [line.content for line in context.history]
    assert told[0].startswith("Welcome")
    assert "where is my credit card" in told
    assert any("where were we" in text for text in told)
    assert context.current_intent == "card_delivery_inquiry"


def depth(rig: Rig) -> float:
    return rig.platform.metrics.registry.get_sample_value("callfleet_journal_depth") or 0.0


def workers() -> list[psutil.Process]:
    """The worker processes of this one, without their children."""
    return [
        child
        for child in psutil.Process().children()
        if {"callfleet_agent.main", "worker"} <= set(child.cmdline())
    ]


def argument(worker: psutil.Process, name: str) -> str:
    words = worker.cmdline()
    return words[words.index(name) + 1]


def talker(caplog: pytest.LogCaptureFixture) -> int:
    """The worker that told of the last turn."""
    return int(
        [one.turn_worker_pid for one in caplog.records if hasattr(one, "turn_worker_pid")][-1]
    )


async def test_a_worker_that_is_killed_loses_nothing_and_its_stream_goes_on(
    rig: Rig, postgres: Server, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    avc = stub(connector_pb2_grpc.AIVoiceConnectorServiceStub, rig.channel)
    made = await avc.CreateSession(
        connector_pb2.CreateSessionRequest(format=PCMU, sample_rate=8000), metadata=tokens(rig)
    )
    session = made.session_id
    question, asked = await spoken("where is my credit card"), asyncio.Event()

    async def caller() -> AsyncIterator[common_pb2.AudioChunk]:
        yield chunks(Pcm8k.silence(160), session_id=session)[0]
        await asked.wait()
        for number, chunk in enumerate(chunks(question, 160), 1):
            chunk.sequence_number = number
            yield chunk
        await asyncio.Event().wait()

    utterances, killed = 0, 0
    stream = avc.ProcessAudioStream(caller(), metadata=tokens(rig))
    async with asyncio.timeout(90):
        async for chunk in stream:
            utterances += chunk.end_of_utterance
            if utterances == 1:
                asked.set()
            if utterances == 2 and not killed:
                killed = talker(caplog)
                os.kill(killed, signal.SIGKILL)
            if utterances == 3:
                break
    status = await avc.GetSessionStatus(
        connector_pb2.SessionStatusRequest(session_id=session), metadata=tokens(rig)
    )
    stream.cancel()
    await avc.EndSession(session_pb.EndSessionRequest(session_id=session), metadata=tokens(rig))
    async with database(postgres.url) as connected:
        keys = read_keys(rig.folder / "sealing")
        context = await PostgresContexts(connected, keys).of_session(UUID(session))

    value = rig.platform.metrics.registry.get_sample_value
    assert status.status == session_pb.SESSION_STATUS_ACTIVE
    assert status.epoch >= 1
    assert (value("callfleet_workers_lost_total"), value("callfleet_calls_moved_total")) == (1, 1)
    assert context is not None
    told = [line.content for line in context.history]
    assert "where is my credit card" in told
    assert any("where were we" in line for line in told)
    assert context.current_intent == "card_delivery_inquiry"
    assert not psutil.pid_exists(killed)


async def test_a_worker_asks_the_bank_through_its_connector_which_writes_it_down(
    rig: Rig, postgres: Server
) -> None:
    avc = stub(connector_pb2_grpc.AIVoiceConnectorServiceStub, rig.channel)
    made = await avc.CreateSession(
        connector_pb2.CreateSessionRequest(format=PCMU, sample_rate=8000), metadata=tokens(rig)
    )
    session = UUID(made.session_id)
    worker = workers()[0]
    bank = SocketBank(Path(argument(worker, "--bank-socket")), limit_s=60.0)
    proof = AuthenticationRequest(
        idempotency_key=uuid4(),
        method="card-last-four",
        credential="4271",
        customer_number="200417",
        session_id=session,
    )

    wrong = await bank.authenticate_customer(replace(proof, credential="0000"))
    right = await bank.authenticate_customer(replace(proof, idempotency_key=uuid4()))
    assert right.customer_id is not None
    card = await bank.query_card_delivery(
        CardDeliveryRequest(customer_id=right.customer_id, session_id=session)
    )
    with pytest.raises(NotVerifiedError):
        await bank.query_card_delivery(
            CardDeliveryRequest(customer_id="c-200418", session_id=session)
        )
    caller = replace(proof, customer_number=None, caller_id=PHONE, idempotency_key=uuid4())
    stranger = await bank.authenticate_customer(caller)
    with pytest.raises(RequestRefusedError):
        await bank.authenticate_customer(replace(proof, session_id=uuid4()))
    await avc.EndSession(
        session_pb.EndSessionRequest(session_id=str(session)), metadata=tokens(rig)
    )
    with pytest.raises(RequestRefusedError):
        await bank.authenticate_customer(replace(proof, idempotency_key=uuid4()))
    async with database(postgres.url) as connected, connected.transaction() as connection:
        columns = "session_id, transaction_type, authentication_status, response_data IS NOT NULL"
        kept = text(f"SELECT {columns} FROM banking_transactions ORDER BY 2, 3")
        rows = [tuple(row) for row in await connection.execute(kept)]
        columns = "phase, operation, outcome, actor, session_id"
        log = text(f"SELECT {columns} FROM audit_entries ORDER BY stream, sequence")
        entries = [tuple(row) for row in await connection.execute(log)]

    assert wrong.status is AuthenticationStatus.REFUSED
    assert right.status is AuthenticationStatus.VERIFIED
    assert card.status is CardStatus.SHIPPED
    assert stranger.status is AuthenticationStatus.UNKNOWN_CALLER
    assert rows == [
        (session, "AUTHENTICATION", "FAILED", True),
        (session, "AUTHENTICATION", "FAILED", True),
        (session, "AUTHENTICATION", "VERIFIED", True),
        (session, "CARD_INQUIRY", "VERIFIED", True),
    ]
    assert [entry[:3] for entry in entries] == [
        ("ASKED", "AUTHENTICATION", ""),
        ("ENDED", "AUTHENTICATION", "refused"),
        ("ASKED", "AUTHENTICATION", ""),
        ("ENDED", "AUTHENTICATION", "verified"),
        ("ASKED", "CARD_DELIVERY", ""),
        ("ENDED", "CARD_DELIVERY", "done"),
        ("ASKED", "CARD_DELIVERY", ""),
        ("ENDED", "CARD_DELIVERY", "not_verified"),
        ("ASKED", "AUTHENTICATION", ""),
        ("ENDED", "AUTHENTICATION", "unknown_caller"),
    ]
    assert {entry[3:] for entry in entries} == {(CLIENT, session)}


async def test_workers_have_no_secret_of_the_services(
    tmp_path: Path, postgres: Server, redis_server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    await asyncio.to_thread(migrated, postgres.url)
    token = tmp_path / "bank-token"
    token.write_text("of-the-bank")
    monkeypatch.setenv("CALLFLEET_DATABASE_URL", postgres.url)
    monkeypatch.setenv("CALLFLEET_REDIS_URL", redis_server.url)
    monkeypatch.setenv("CALLFLEET_SEALING_KEYS", str(tmp_path / "sealing"))
    more: dict[str, Any] = {"roles": ROLES, "bank_token": token}
    async with rigged(tmp_path, postgres.url, redis_server.url, **more):
        found = workers()
        told = [" ".join([*one.cmdline(), *one.environ().values()]) for one in found]
        folders = {Path(argument(one, "--bank-socket")).parent for one in found}

    assert found
    for secret in (postgres.url, redis_server.url, str(tmp_path / "sealing"), str(token)):
        assert not any(secret in one for one in told)
    assert len(folders) == 1
    assert not any(folder.exists() for folder in folders)
    assert not any(one.is_running() for one in found)
