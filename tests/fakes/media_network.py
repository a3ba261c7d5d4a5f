"""A network that delays, loses, repeats and reorders datagrams, decided by a seed."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from heapq import heappop, heappush


@dataclass
class FakeNetwork:
    """Times are seconds. `jitter_s` is the mean of an exponential delay on top of `delay_s`, so
    packets overtake each other; `burst` is the probability that a loss is followed by another."""

    seed: int = 1
    delay_s: float = 0.03
    jitter_s: float = 0.0
    loss: float = 0.0
    burst: float = 0.0
    repeats: float = 0.0
    lost: int = 0
    sent: int = 0
    _rng: random.Random = field(init=False)
    _queue: list[tuple[float, int, bytes]] = field(default_factory=list)
    _losing: bool = False

    def __post_init__(self) -> None:
        self._rng = random.Random(self.seed)

    def send(self, data: bytes, now: float) -> None:
        """Accepts a datagram; it may never arrive."""
        self.sent += 1
        chance = self.burst if self._losing else self.loss
        self._losing = self._rng.random() < chance
        if self._losing:
            self.lost += 1
            return
        copies = 2 if self._rng.random() < self.repeats else 1
        for copy in range(copies):
            extra = self._rng.expovariate(1 / self.jitter_s) if self.jitter_s else 0.0
            heappush(self._queue, (now + self.delay_s + extra, 2 * self.sent + copy, data))

    def arrivals(self, until: float) -> Iterator[tuple[float, bytes]]:
        """What arrives up to `until`, in order of arrival."""
        while self._queue and self._queue[0][0] <= until:
            when, _, data = heappop(self._queue)
            yield when, data
