"""What clients choose of the services of speech, over replicas that share a Redis."""

import shutil
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast
from uuid import uuid4

import pytest
from redis.asyncio import Redis

from callfleet.v1 import vad_pb2, vad_pb2_grpc
from callfleet_agent.app.platform import Platform
from callfleet_agent.services.actor import acts_for
from callfleet_agent.services.preferences import CLIENT_TTL_S, SESSION_TTL_S, Preferences
from callfleet_agent.services.shared_choices import SharedChoices
from callfleet_agent.services.speech_gate import GateSettings
from identities import CLIENT, channel
from platform_rig import rigged, stub
from spoken_streams import chunks, spoken, tokens
from stores import Server, killable_redis

OTHER = CLIENT.replace("kiosk", "other")
SLOW = GateSettings(start_ms=500)


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[Redis]:
    async with Redis.from_url(url, decode_responses=True, socket_connect_timeout=30) as redis:
        yield redis


def replica(redis: Redis, clock: Clock) -> Preferences[GateSettings]:
    shared = SharedChoices(redis, clock=clock, limit_s=30.0)
    return Preferences("vad", GateSettings(), lambda kept: GateSettings(**kept), shared, now=clock)


async def test_a_choice_made_on_one_replica_holds_on_the_other(redis_server: Server) -> None:
    clock, session = Clock(), uuid4()
    async with connected(redis_server.url) as redis:
        one, other = replica(redis, clock), replica(redis, clock)
        with acts_for(CLIENT):
            await one.choose(None, GateSettings(stop_ms=900))
            await one.choose(session, SLOW)
            assert await other.of(session) == SLOW
            assert await other.of(uuid4()) == await other.of(None) == GateSettings(stop_ms=900)
            clock.now -= 30  # the other's clock is behind: the last choice is the last all the same
            await other.choose(session, GateSettings(start_ms=96))
            assert await one.of(session) == GateSettings(start_ms=96)
        with acts_for(OTHER):
            assert await other.of(session) == GateSettings()
        keys = {key: await redis.ttl(key) async for key in redis.scan_iter()}

    assert sorted(keys.values()) == pytest.approx([SESSION_TTL_S, CLIENT_TTL_S], abs=60)
    assert all(key.startswith("choice:vad:") for key in keys)
    assert not any("kiosk" in key or "bank" in key for key in keys)


async def test_what_is_chosen_while_redis_is_away_holds_here_and_everywhere_later(
    tmp_path: Path,
) -> None:
    clock, session, alone = Clock(), uuid4(), uuid4()
    with killable_redis(tmp_path) as (server, url):
        async with connected(url) as redis:
            one, other = replica(redis, clock), replica(redis, clock)
            with acts_for(CLIENT):
                await one.choose(session, SLOW)
                assert await other.of(session) == SLOW
                server.kill()
                assert await other.of(session) == await one.of(session) == SLOW
                clock.now += 0.5
                await one.choose(alone, SLOW)
                assert await one.of(alone) == SLOW
                server.start()  # and it is empty
                clock.now += 2
                assert await one.of(alone) == SLOW
                assert await other.of(alone) == SLOW
                assert await other.of(session) == SLOW


async def test_what_cannot_be_read_is_as_if_it_were_not_there(redis_server: Server) -> None:
    clock, session = Clock(), uuid4()
    async with connected(redis_server.url) as redis:
        with acts_for(CLIENT):
            await replica(redis, clock).choose(session, SLOW)
            (key,) = [key async for key in redis.scan_iter()]
            for planted in ('{"start_ms": 5, "of_later": 1}', "none", "[1, 2, 3, 4, 5, 6]"):
                await cast("Awaitable[int]", redis.hset(key, "choice", planted))
                assert await replica(redis, clock).of(session) == GateSettings()


@pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="espeak-ng is not installed here")
async def test_a_detector_configured_on_one_replica_is_so_on_another(
    tmp_path: Path, redis_server: Server
) -> None:
    session = str(uuid4())
    said = chunks(await spoken("where is my credit card"), session_id=session)

    async def spoke(vad: Any) -> bool:
        results = vad.ProcessAudio(iter(said), metadata=tokens(rig))
        return vad_pb2.VAD_STATE_SPEAKING in [one.state async for one in results]

    more: dict[str, Any] = {"roles": ("vad",), "bank_url": ""}
    async with rigged(tmp_path, "", redis_server.url, **more) as rig:
        files = rig.authority.issue(tmp_path / "client", CLIENT)
        async with (
            Platform(rig.platform.settings).running() as second,
            channel(rig.platform.port, files) as to_one,
            channel(second.port, files) as to_other,
        ):
            one, other = (stub(vad_pb2_grpc.VADServiceStub, on) for on in (to_one, to_other))
            before = await spoke(other)
            request = vad_pb2.VADConfiguration(session_id=session, start_milliseconds=5000)
            await one.Configure(request, metadata=tokens(rig))

            assert (before, await spoke(one), await spoke(other)) == (True, False, False)
