"""Two replicas of ai-voice-connector with their workers: a conversation is carried through the one
that does not hold it. What can go wrong between them: test_replicas.py."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from callfleet.v1 import common_pb2, connector_pb2, connector_pb2_grpc
from callfleet.v1 import session_pb2 as session_pb
from callfleet_agent.app.platform import Platform
from callfleet_agent.audio import Pcm8k
from identities import CLIENT, channel
from platform_rig import Rig, rigged, stub
from ports import free_port
from spoken_streams import PCMU, chunks, spoken, tokens
from stores import Server, migrated

REPLICA = "spiffe://callfleet.io/ns/callfleet-system/service/ai-voice-connector"
ROLES = ("session-manager", "context-store", "ai-voice-connector")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.spoken(minutes=0.5),
    pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="espeak-ng is not installed here"),
]


async def utterances(avc: Any, rig: Rig, session: str, question: Pcm8k, most: int) -> int:
    """How many the agent has spoken when the stream ends; the question follows the first."""
    greeted, heard = asyncio.Event(), 0

    async def caller() -> AsyncIterator[common_pb2.AudioChunk]:
        yield chunks(Pcm8k.silence(160), session_id=session)[0]
        await greeted.wait()
        for number, chunk in enumerate(chunks(question, 160), 1):
            chunk.sequence_number = number
            yield chunk
        await asyncio.Event().wait()

    async with asyncio.timeout(60):
        stream = avc.ProcessAudioStream(caller(), metadata=tokens(rig))
        async for chunk in stream:
            heard += chunk.end_of_utterance
            if heard:
                greeted.set()
            if heard == most:
                stream.cancel()
                break
    return heard


async def test_a_conversation_is_carried_through_a_replica_that_does_not_hold_it(
    tmp_path: Path, postgres: Server, redis_server: Server
) -> None:
    await asyncio.to_thread(migrated, postgres.url)
    ports = (free_port(), free_port())
    more: dict[str, Any] = {
        "roles": ROLES, "calls": 2, "workers": 1, "per_minute": 60_000.0, "burst": 1000.0,
        "port": ports[0], "peers": tuple(f"localhost:{port}" for port in ports),
    }  # fmt: skip
    session, question = str(uuid4()), await spoken("where is my credit card")
    new = connector_pb2.CreateSessionRequest(format=PCMU, sample_rate=8000, session_id=session)
    asked = connector_pb2.SessionStatusRequest(session_id=session)
    async with rigged(tmp_path, postgres.url, redis_server.url, **more) as rig:
        rig.authority.issue(tmp_path / "server", REPLICA)  # both follow their files
        files = rig.authority.issue(tmp_path / "client", CLIENT)
        second = Platform(replace(rig.platform.settings, port=ports[1]))
        async with (
            second.running(),
            channel(ports[0], files) as to_one,
            channel(ports[1], files) as to_other,
        ):
            one, other = (
                stub(connector_pb2_grpc.AIVoiceConnectorServiceStub, on)
                for on in (to_one, to_other)
            )
            await one.CreateSession(new, metadata=tokens(rig))
            again = await other.CreateSession(new, metadata=tokens(rig))
            through = await utterances(other, rig, session, question, 2)
            there = await other.GetSessionStatus(asked, metadata=tokens(rig))
            here = await one.GetSessionStatus(asked, metadata=tokens(rig))
            directly = await utterances(one, rig, session, Pcm8k.silence(8000), 1)
            ended = await other.EndSession(
                session_pb.EndSessionRequest(session_id=session), metadata=tokens(rig)
            )

    assert again.session_id == session
    assert (through, directly) == (2, 1)
    assert there.turns == here.turns == 1
    assert ended.status == session_pb.SESSION_STATUS_COMPLETED
