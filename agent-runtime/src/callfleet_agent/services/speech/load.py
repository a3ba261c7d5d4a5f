"""How busy a server is: a bound on what runs at once, and its metrics."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from callfleet_agent.services.errors import OverloadedError

_SECONDS = (0.02, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4)
_FACTORS = (0.02, 0.05, 0.1, 0.2, 0.4, 0.7, 1.0, 1.5, 3.0)


@dataclass(slots=True)
class Request:
    """One request's clock."""

    load: "Load"
    began: float = field(default_factory=time.monotonic)
    _first: bool = False

    def first_result(self) -> None:
        """The first result is about to be sent."""
        if not self._first:
            self._first = True
            self.load.first_result.observe(time.monotonic() - self.began)

    def computed(self, seconds: float, of_sound_s: float) -> None:
        """So much time went into so much sound."""
        if of_sound_s > 0:
            self.load.real_time_factor.observe(seconds / of_sound_s)


class Load:
    """At most `at_once` requests run; others wait, eight times as many at most: who comes then
    would be answered too late to be of use. Also the edge's watcher."""

    def __init__(self, at_once: int) -> None:
        self.registry = CollectorRegistry()
        self._running = Gauge(
            "callfleet_engine_requests_running", "Requests that run.", registry=self.registry
        )
        self._waiting = Gauge(
            "callfleet_engine_requests_waiting", "Requests that wait.", registry=self.registry
        )
        self.first_result = Histogram(
            "callfleet_engine_first_result_seconds", "From a request to its first result.",
            buckets=_SECONDS, registry=self.registry,
        )  # fmt: skip
        self.real_time_factor = Histogram(
            "callfleet_engine_real_time_factor", "Time of computing for a second of sound.",
            buckets=_FACTORS, registry=self.registry,
        )  # fmt: skip
        self._over = Counter(
            "callfleet_engine_requests", "Requests that are over, by their gRPC status.",
            ["rpc", "status"], registry=self.registry,
        )  # fmt: skip
        self._refused = Counter(
            "callfleet_engine_identity_refused", "Clients that were not let in.", ["code"],
            registry=self.registry,
        )  # fmt: skip
        self._turn = asyncio.Semaphore(at_once)
        self._room = 8 * at_once
        self._queued = 0

    def request_over(self, rpc: str, status: str, seconds: float) -> None:  # noqa: ARG002
        """A request has ended."""
        self._over.labels(rpc, status).inc()

    def identity_refused(self, code: str) -> None:
        """A client was not let in."""
        self._refused.labels(code).inc()

    @asynccontextmanager
    async def request(self) -> AsyncIterator[Request]:
        """A request; waits for its turn. Raises OverloadedError when too many wait."""
        if self._queued >= self._room:
            raise OverloadedError
        self._queued += 1
        self._waiting.inc()
        try:
            await self._turn.acquire()
        finally:
            self._queued -= 1
            self._waiting.dec()
        self._running.inc()
        try:
            yield Request(self)
        finally:
            self._running.dec()
            self._turn.release()
