"""Choices of clients in Redis, where all replicas of a service find them; it may be away."""

import math
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from redis.asyncio import Redis
from redis.exceptions import RedisError

from callfleet_agent.services.limits import LIMIT_S
from callfleet_agent.time_limit import at_most

Answer = TypeVar("Answer")
_LOOK_AGAIN_S: Final = 1.0

# KEYS[1]; ARGV: when it was made, the choice, milliseconds to live, 1 if it is made now: then it is
# the last one, whatever the clocks of replicas say. Answers when it is said to have been made.
_PUT: Final = """
local at = tonumber(ARGV[1])
local held = tonumber(redis.call('HGET', KEYS[1], 'at') or '')
if held and ARGV[4] == '1' then at = math.max(at, held + 1) end
if held and held > at then return at end
redis.call('HSET', KEYS[1], 'at', at, 'choice', ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return at
"""


@dataclass(frozen=True, slots=True)
class Slot:
    """Where a choice lies, and for how many seconds after its last use."""

    key: str
    live_s: int


@dataclass(frozen=True, slots=True)
class Kept:
    """A choice as JSON, and when it was made, in milliseconds since 1970."""

    at_ms: int
    text: str


class SharedChoices:
    """The choices on one Redis, which is left alone for a second after a failure."""

    def __init__(
        self,
        redis: Redis,
        *,
        clock: Callable[[], float] = time.monotonic,
        limit_s: float = LIMIT_S,
    ) -> None:
        self._redis = redis
        self._put: Any = redis.register_script(_PUT)
        self._clock = clock
        self._limit_s = limit_s
        self._away_until = -math.inf

    async def get(self, slots: Sequence[Slot]) -> list[Kept | None] | None:
        """What lies there, which is in use by that; None while Redis is away."""
        return await self._asked(lambda: self._get(slots))

    async def choose(self, slot: Slot, kept: Kept) -> int:
        """Put it there as the last of all choices; when it is said to have been made."""
        at_ms = await self._asked(lambda: self._puts(slot, kept, now=True))
        return kept.at_ms if at_ms is None else at_ms

    async def mend(self, slot: Slot, kept: Kept) -> None:
        """Put it there unless a later one is there."""
        await self._asked(lambda: self._puts(slot, kept, now=False))

    async def _puts(self, slot: Slot, kept: Kept, *, now: bool) -> int:
        arguments = [kept.at_ms, kept.text, slot.live_s * 1000, int(now)]
        return int(await self._put(keys=[slot.key], args=arguments))

    async def _get(self, slots: Sequence[Slot]) -> list[Kept | None]:
        async with self._redis.pipeline(transaction=False) as pipeline:
            for slot in slots:
                pipeline.hmget(slot.key, ["at", "choice"])
                pipeline.pexpire(slot.key, slot.live_s * 1000)
            answers = await pipeline.execute()
        return [Kept(int(at), text) if at and text else None for at, text in answers[::2]]

    async def _asked(self, ask: Callable[[], Awaitable[Answer]]) -> Answer | None:
        if self._clock() < self._away_until:
            return None
        try:
            async with at_most(self._limit_s):
                return await ask()
        except (RedisError, OSError, TimeoutError):
            self._away_until = self._clock() + _LOOK_AGAIN_S
            return None
