"""Redis as the fast copy: it may be away, slow, empty or flushed, and nothing is wrong for it.

Every entry has a version and never goes back to an older one. A copy that could not be renewed is
remembered as stale: this process reads it from PostgreSQL, and deletes it before Redis is trusted
again. After a failure Redis is left alone for a second, so that its absence costs little.

A process can be killed between PostgreSQL's write and the copy's: an entry is in doubt before its
truth is changed, and lapses when nobody renews it.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Self, TypeVar, cast

from redis.asyncio import Redis
from redis.exceptions import RedisError

from callfleet_agent.time_limit import at_most

# More than any version, and the largest whole number that Lua can compare.
_GONE: Final = 2**53 - 1
_GONE_S: Final = 60
_MOST_STALE: Final = 10_000
_LOOK_AGAIN_S: Final = 1.0
IN_DOUBT_S: Final = 2.0
_PREFIXES: Final = ("session:*", "context:*", "call_routing:*")
_log = logging.getLogger(__name__)
Answer = TypeVar("Answer")

# KEYS[1]; ARGV: version, milliseconds to live, then names and values.
_RENEW: Final = """
local held = redis.call('HGET', KEYS[1], 'version')
if held and tonumber(held) > tonumber(ARGV[1]) then return 0 end
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], 'version', ARGV[1], unpack(ARGV, 3))
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return 1
"""

# KEYS[1]; ARGV: the version of what is gone, milliseconds.
_DOUBT: Final = """
local held = redis.call('HGET', KEYS[1], 'version')
if not held or held == ARGV[1] then return 0 end
if redis.call('PTTL', KEYS[1]) > tonumber(ARGV[2]) then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
return 1
"""


@dataclass(slots=True)
class CacheCounts:
    """What happened since the start."""

    hits: int = 0
    misses: int = 0
    failures: int = 0


class Cache:
    """Entries of text fields in Redis."""

    def __init__(
        self, url: str, *, limit_s: float = 0.25, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._redis = Redis.from_url(
            url, socket_timeout=limit_s, socket_connect_timeout=limit_s, decode_responses=True
        )
        self._limit_s = limit_s
        self._clock = clock
        self._renew = self._redis.register_script(_RENEW)
        self._doubt = self._redis.register_script(_DOUBT)
        self._stale: dict[str, None] = {}
        self._all_stale = False
        self._away_until = 0.0
        self.counts = CacheCounts()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._redis.aclose()

    @property
    def client(self) -> Redis:
        """The connection pool, for what is no copy of PostgreSQL."""
        return self._redis

    @property
    def stale(self) -> int:
        """Entries that have to be deleted before Redis is trusted again."""
        return len(self._stale) + self._all_stale

    async def get(self, key: str) -> Mapping[str, str] | None:
        """The entry, None when it is not there or cannot be trusted."""
        if not await self._trusted():
            return None
        found = await self._asked(cast("Awaitable[dict[str, str]]", self._redis.hgetall(key)))
        if not found or found.get("version") == str(_GONE):
            self.counts.misses += 1
            return None
        self.counts.hits += 1
        return found

    async def put(self, key: str, version: int, fields: Mapping[str, str], live_s: float) -> None:
        """Renew an entry unless it is newer already."""
        pairs = [part for pair in fields.items() for part in pair]
        await self._changed(key, [version, max(1, int(live_s * 1000)), *pairs])

    async def doubt(self, key: str) -> None:
        """What it copies is about to change: let it lapse soon, unless it is renewed."""
        if await self._trusted():
            await self._asked(self._doubt(keys=[key], args=[_GONE, int(IN_DOUBT_S * 1000)]))

    async def forget(self, key: str) -> None:
        """Delete an entry, and keep a reader that is late from putting it back."""
        await self._changed(key, [_GONE, _GONE_S * 1000])

    async def clean(self) -> None:
        """Try to delete what is stale; a second later again, until cancelled."""
        while True:
            await asyncio.sleep(_LOOK_AGAIN_S)
            await self._trusted()

    async def _changed(self, key: str, arguments: list[Any]) -> None:
        trusted = await self._trusted()
        done = trusted and await self._asked(self._renew(keys=[key], args=arguments)) is not None
        if not done:
            self._is_stale(key)

    def _is_stale(self, key: str) -> None:
        self._stale[key] = None
        if len(self._stale) > _MOST_STALE:
            self._stale.clear()
            self._all_stale = True

    async def _trusted(self) -> bool:
        """Whether Redis may be asked now; deletes first what is stale."""
        if self._clock() < self._away_until:
            return False
        if not self.stale:
            return True
        keys = list(self._stale)
        if await self._asked(self._delete(keys)) is None:
            return False
        for key in keys:
            self._stale.pop(key, None)
        self._all_stale = False
        _log.info("the cache is trusted again", extra={"deleted": len(keys)})
        return True

    async def _delete(self, keys: list[str]) -> bool:
        if self._all_stale:
            for prefix in _PREFIXES:
                async for key in self._redis.scan_iter(match=prefix, count=500):
                    await cast("Awaitable[int]", self._redis.unlink(key))
        elif keys:
            await cast("Awaitable[int]", self._redis.unlink(*keys))
        return True

    async def _asked(self, answer: Awaitable[Answer]) -> Answer | None:
        try:
            async with at_most(self._limit_s * 4):
                return await answer
        except (RedisError, OSError, TimeoutError) as error:
            if not self.counts.failures or self._clock() >= self._away_until:
                _log.warning("the cache cannot be used", extra={"reason": type(error).__name__})
            self.counts.failures += 1
            self._away_until = self._clock() + _LOOK_AGAIN_S
            return None
