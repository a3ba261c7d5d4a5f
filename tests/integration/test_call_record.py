"""A call's record from the journal to the stores, through absences of all that is in between."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID, uuid4

import grpc
import pytest

from callfleet.v1 import context_pb2 as context_pb
from callfleet.v1 import session_pb2 as session_pb
from callfleet_agent.app.call_record import JournalRecorder
from callfleet_agent.context.conversation import Exchange, Speaker
from callfleet_agent.journal import Deliverer, DeliverySettings, Journal, JournalSettings, Weight
from callfleet_agent.services.record_sink import GrpcSink
from callfleet_agent.session.identifiers import uuid7
from callfleet_agent.session.record import CallSession, SessionStatus
from identities import AGENT, AUDIENCES, SCOPES, OnChannel, channel
from platform_rig import Rig, rigged
from ports import free_port
from stores import Server, killable_postgres, migrated

CALLS = [uuid7(1_790_000_000_000 + number, number) for number in range(3)]


def journal(folder: Path) -> Journal:
    return Journal(JournalSettings(folder=folder, key=bytes(32)))


def deliverer(kept: Journal, rig: Rig, on: grpc.aio.Channel) -> Deliverer:
    mint = rig.tokens.mint(AGENT)
    peer = OnChannel(on, lambda: mint.token(AUDIENCES, SCOPES))
    return Deliverer(
        kept, GrpcSink(peer, peer), DeliverySettings(first_wait_s=0.05, longest_wait_s=0.2)
    )


def tell(recorder: JournalRecorder, session_id: UUID, turns: range) -> None:
    for turn in turns:
        said = Exchange(speaker=Speaker.CALLER, content=str(turn), turn=turn)
        recorder.turn_ended(session_id, uuid4(), {"exchanges": (said,), "facts": {"turn": turn}})


def start(recorder: JournalRecorder, session_id: UUID) -> None:
    recorder.call_started(
        CallSession(
            session_id=session_id,
            sip_call_id=f"{session_id}@phone",
            call_start_time=datetime.now(UTC),
            voice_agent="bank/card-line",
        )
    )


async def told(rig: Rig, session_id: UUID) -> list[str]:
    request = context_pb.ContextRequest(session_id=str(session_id))
    context = await rig.ask(rig.contexts.GetContext, request)
    return [one.content for one in context.conversation_history]


@pytest.mark.slow
async def test_what_is_owed_is_delivered_once_in_order_through_every_absence(
    tmp_path: Path, redis_server: Server
) -> None:
    """The service is not there yet; then PostgreSQL is killed; then the pod's process is."""
    port, folder = free_port(), tmp_path / "journal"
    kept = journal(folder)
    recorder = JournalRecorder(kept)
    for call in CALLS:
        start(recorder, call)
        tell(recorder, call, range(5))
    with killable_postgres() as (server, url):
        await asyncio.to_thread(migrated, url)
        async with rigged(tmp_path, url, redis_server.url, port=port) as rig:
            async with channel(rig.platform.port, rig.agent) as on:
                first = deliverer(kept, rig, on)
                running = asyncio.create_task(first.run())
                await asyncio.wait_for(first.drained(), 90)
                await asyncio.to_thread(server.kill)
                for call in CALLS:
                    tell(recorder, call, range(5, 10))
                await asyncio.sleep(0.5)
                assert len(kept) == 15
                await asyncio.to_thread(server.start)
                while len(kept) > 8:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
                running.cancel()
                await asyncio.gather(running, return_exceptions=True)
            kept.close()  # as a killed process leaves it: the next one reads the files

            later = journal(folder)
            for call in CALLS:
                JournalRecorder(later).call_ended(call, SessionStatus.COMPLETED, datetime.now(UTC))
            async with channel(rig.platform.port, rig.agent) as on:
                second = deliverer(later, rig, on)
                running = asyncio.create_task(second.run())
                await asyncio.wait_for(second.drained(), 90)
                running.cancel()
                await asyncio.gather(running, return_exceptions=True)

            for call in CALLS:
                assert await told(rig, call) == [str(turn) for turn in range(10)]
                found = await rig.ask(
                    rig.sessions.GetSession, session_pb.GetSessionRequest(session_id=str(call))
                )
                assert found.status == session_pb.SESSION_STATUS_COMPLETED
            assert later.counts.refused == 0


async def test_a_record_that_is_none_is_refused(tmp_path: Path) -> None:
    kept = journal(tmp_path)
    kept.append(Weight.DETAIL, 99, CALLS[0], uuid4(), b"")
    kept.append(Weight.DETAIL, 2, CALLS[0], uuid4(), b"\xff\xff")
    async with grpc.aio.insecure_channel("127.0.0.1:1") as nowhere:
        delivering = Deliverer(kept, GrpcSink(OnChannel(nowhere), OnChannel(nowhere)))
        running = asyncio.create_task(delivering.run())
        await asyncio.wait_for(delivering.drained(), 60)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    assert kept.counts.refused == 2
