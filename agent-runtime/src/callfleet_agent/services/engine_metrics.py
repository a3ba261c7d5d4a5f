"""An engine's /metrics on a port of its own, for engines that have them on the port of requests.

So the cluster may read the figures and still ask the engine nothing. What was read is good for a
second: however many ask, the engine is asked once at a time.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import aiohttp
from aiohttp import web

FRESH_S: Final = 1.0
MOST_BYTES: Final = 4 << 20
# Less than the 10 s that Prometheus gives a scrape, so that it hears why.
_TIMEOUT: Final = aiohttp.ClientTimeout(total=8, sock_connect=2)
_PIECE: Final = 64 << 10
_FORMAT: Final = "text/plain; version=0.0.4; charset=utf-8"
# Without a word on formats and compression an engine answers in Prometheus' text format, as it is.
_HEADERS: Final = {"Accept": "text/plain", "Accept-Encoding": "identity"}


@dataclass(frozen=True, slots=True)
class Reading:
    """What the engine said, or why there is nothing."""

    body: bytes = b""
    failed: str = ""


@dataclass
class EngineMetrics:
    """Reads `url`. `needed` is False beside a worker of several nodes, which has no figures."""

    url: str
    session: aiohttp.ClientSession
    needed: bool = True
    most_bytes: int = MOST_BYTES
    timeout: aiohttp.ClientTimeout = _TIMEOUT
    now: Callable[[], float] = time.monotonic
    _last: Reading = field(default_factory=Reading, init=False)
    _read_at: float | None = field(default=None, init=False)
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock, init=False)

    async def read(self) -> Reading:
        """What the engine says, at most a second old."""
        if not self.needed:
            return Reading()
        async with self._lock:
            if self._read_at is None or self.now() - self._read_at > FRESH_S:
                self._last = await self._asked()
                self._read_at = self.now()
            return self._last

    async def _asked(self) -> Reading:
        try:
            async with self.session.get(
                self.url, headers=_HEADERS, timeout=self.timeout, allow_redirects=False
            ) as response:
                if response.status != 200:
                    return Reading(failed=f"the engine answers {response.status}")
                return await self._whole(response)
        except TimeoutError:
            return Reading(failed="the engine does not answer in time")
        except aiohttp.ClientError:
            return Reading(failed="the engine cannot be reached")

    async def _whole(self, response: aiohttp.ClientResponse) -> Reading:
        body = bytearray()
        async for piece in response.content.iter_chunked(_PIECE):
            body += piece
            if len(body) > self.most_bytes:
                return Reading(failed=f"the engine says more than {self.most_bytes} bytes")
        return Reading(bytes(body))


def metrics_app(metrics: EngineMetrics) -> web.Application:
    """GET /metrics and nothing else. Nothing of a request reaches the engine."""

    async def told(_: web.Request) -> web.Response:
        reading = await metrics.read()
        if reading.failed:
            return web.Response(status=502, text=f"{reading.failed}\n")
        return web.Response(body=reading.body, headers={"Content-Type": _FORMAT})

    app = web.Application()
    app.router.add_get("/metrics", told, allow_head=False)
    return app
