"""A client's token bucket on a real Redis: one for all replicas, and one of each replica's own
while Redis is away."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from redis.asyncio import Redis

from callfleet_agent.services.bucket import DEFAULT, Limit
from callfleet_agent.services.limits import Buckets, Limits
from identities import CLIENT
from stores import KillableServer, killable_redis

SLOW = Limit(per_minute=0.6, burst=5)  # no token comes back within a test


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[tuple[KillableServer, str]]:
    with killable_redis(tmp_path) as running:
        yield running


class Clock:
    """A time that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@asynccontextmanager
async def replicas(url: str, clock: Clock) -> AsyncIterator[tuple[Buckets, Buckets]]:
    """Two processes of a service, as Redis sees them."""
    async with Redis.from_url(url) as one, Redis.from_url(url) as other:
        # A Redis that is slow for a moment, since the machine is, is not taken for away.
        first, second = (Buckets(redis, clock=clock, limit_s=30.0) for redis in (one, other))
        yield first, second


async def taken(*buckets: Buckets, limit: Limit = SLOW, client: str = CLIENT) -> int:
    """How many of twenty requests are let in, each at the next replica."""
    waits = [await buckets[turn % len(buckets)].take(client, limit) for turn in range(20)]
    return waits.count(0)


async def test_replicas_give_one_burst_together(redis: tuple[KillableServer, str]) -> None:
    async with replicas(redis[1], Clock()) as (one, other):
        assert await taken(one, other) == 5
        assert await taken(one, other) == 0
        assert await taken(other, client=CLIENT + "-2") == 5  # a bucket for each client

    async with Redis.from_url(redis[1]) as seen:
        keys = [key async for key in seen.scan_iter()]
        assert len(keys) == 2
        for key in keys:
            assert b"kiosk" not in key
            assert 0 < await seen.ttl(key) <= SLOW.fills_in_s + 1  # full by then: nothing is lost


async def test_at_once_they_give_no_more(redis: tuple[KillableServer, str]) -> None:
    async with replicas(redis[1], Clock()) as pair:
        waits = await asyncio.gather(
            *(buckets.take(CLIENT, SLOW) for _ in range(20) for buckets in pair)
        )
    assert waits.count(0) == 5


async def test_a_client_has_a_hundred_a_minute(redis: tuple[KillableServer, str]) -> None:
    limit = Limits().of("client")
    assert limit == DEFAULT == Limit(per_minute=100.0, burst=20.0)
    async with replicas(redis[1], Clock()) as (one, other):
        waits: list[float] = []
        while not waits or waits[-1] == 0:
            waits.append(await (one, other)[len(waits) % 2].take(CLIENT, limit))
        assert 20 < len(waits) < 40  # and what has come back since the first
        assert 0 < waits[-1] <= 0.6
        await asyncio.sleep(waits[-1])  # of Redis' own clock
        assert await other.take(CLIENT, limit) == 0


async def test_without_redis_each_replica_limits_by_itself_until_it_is_back(
    redis: tuple[KillableServer, str],
) -> None:
    server, url = redis
    clock = Clock()
    async with replicas(url, clock) as (one, other):
        assert await taken(one, other) == 5
        server.kill()

        assert await taken(one) == 5
        assert await taken(other) == 5
        assert await taken(one, other) == 0
        assert await one.take(CLIENT, SLOW) == pytest.approx(100.0)

        await asyncio.to_thread(server.start)  # with nothing in it
        assert await taken(one, other) == 0  # not looked for yet
        clock.now += 1.0
        assert await taken(one, other) == 5


async def test_a_redis_that_does_not_answer_is_away(redis: tuple[KillableServer, str]) -> None:
    server, url = redis
    async with Redis.from_url(url) as frozen:
        buckets = Buckets(frozen, clock=Clock())
        server.freeze()
        assert await taken(buckets) == 5
