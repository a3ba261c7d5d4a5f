"""Token buckets of clients, shared by all replicas through Redis, and local while it is away."""

import hashlib
import math
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from redis.asyncio import Redis
from redis.exceptions import RedisError

from callfleet_agent.services.bucket import DEFAULT, Bucket, Limit
from callfleet_agent.time_limit import at_most

_MOST_CLIENTS: Final = 10_000
_LOOK_AGAIN_S: Final = 1.0
LIMIT_S: Final = 0.25

# KEYS[1]; ARGV: tokens a second, burst, milliseconds to live. Answers milliseconds to wait.
_TAKE: Final = """
local clock = redis.call('TIME')
local now = tonumber(clock[1]) + tonumber(clock[2]) / 1000000
local rate, burst = tonumber(ARGV[1]), tonumber(ARGV[2])
local held = redis.call('HMGET', KEYS[1], 'tokens', 'at')
local tokens, at = tonumber(held[1]) or burst, tonumber(held[2]) or now
tokens = math.min(burst, tokens + math.max(0, now - at) * rate)
local wait = 0
if tokens >= 1 then tokens = tokens - 1 else wait = math.ceil((1 - tokens) / rate * 1000) end
redis.call('HSET', KEYS[1], 'tokens', tostring(tokens), 'at', tostring(math.max(now, at)))
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return wait
"""


@dataclass(frozen=True, slots=True)
class Limits:
    """The limit of each role; others have the default one."""

    default: Limit = DEFAULT
    of_roles: Mapping[str, Limit] = field(default_factory=dict)

    def of(self, role: str) -> Limit:
        """The limit of a client with this role."""
        return self.of_roles.get(role, self.default)


class Buckets:
    """A bucket for each client. A Redis that takes longer than `limit_s` counts as away."""

    def __init__(
        self,
        redis: Redis | None,
        *,
        clock: Callable[[], float] = time.monotonic,
        limit_s: float = LIMIT_S,
    ) -> None:
        self._take_shared: Any = redis.register_script(_TAKE) if redis is not None else None
        self._clock = clock
        self._limit_s = limit_s
        self._local: OrderedDict[str, Bucket] = OrderedDict()
        self._away_until = -math.inf

    async def take(self, client: str, limit: Limit) -> float:
        """Take a token of the client: 0 when there was one, else the seconds to wait."""
        now = self._clock()
        if self._take_shared is not None and now >= self._away_until:
            try:
                async with at_most(self._limit_s):
                    return await self._take(client, limit)
            except (RedisError, OSError, TimeoutError):
                self._away_until = self._clock() + _LOOK_AGAIN_S
        return self._take_local(client, limit, now)

    async def _take(self, client: str, limit: Limit) -> float:
        key = f"rate:{hashlib.sha256(client.encode()).hexdigest()[:32]}"
        live_ms = int(limit.fills_in_s * 1000) + 1000
        waited = await self._take_shared(keys=[key], args=[limit.per_second, limit.burst, live_ms])
        return int(waited) / 1000

    def _take_local(self, client: str, limit: Limit, now: float) -> float:
        bucket = self._local.setdefault(client, Bucket(limit.burst, now))
        self._local.move_to_end(client)
        if len(self._local) > _MOST_CLIENTS:
            self._local.popitem(last=False)
        return bucket.take(limit, now)
