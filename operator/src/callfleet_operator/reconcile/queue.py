"""A queue of keys with one worker at a time for each, coalescing, delays and backoff.

The states of a key:

    absent --add--> ready --get--> active --done--> absent
                                   active --add--> active and dirty --done--> ready
    absent --add_after--> delayed --time--> ready

A key that is added while it is being worked on is worked on again afterwards, once. The earliest of
several delays wins. Lives in one event loop; `add` from other threads goes through
`loop.call_soon_threadsafe`.
"""

import asyncio
import heapq
import itertools
from collections import deque
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

from callfleet_operator.ports.clock import Clock

K = TypeVar("K", bound=Hashable)

# A loop's timers fire up to a clock tick early: a key that is due within one is due now, or else
# its workers would wake, find nothing, and set the same timer again.
_RESOLUTION_S = 1e-6


class QueueClosed(Exception):  # noqa: N818 - an end, not an error
    """The queue gives out no more keys."""


class Backoff:
    """Delays per key: `first_s` doubled with each failure up to `last_s`, with jitter downwards."""

    def __init__(
        self, random: Callable[[], float], *, first_s: float = 0.2, last_s: float = 120.0
    ) -> None:
        self._random = random
        self._first_s = first_s
        self._last_s = last_s
        self._failures: dict[Hashable, int] = {}

    def fail(self, key: Hashable) -> float:
        """Counts a failure of the key; answers the seconds until it may be tried again."""
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        ceiling = min(self._last_s, self._first_s * 2.0 ** min(failures, 32))
        return ceiling * (0.75 + 0.25 * self._random())

    def failures(self, key: Hashable) -> int:
        return self._failures.get(key, 0)

    def forget(self, key: Hashable) -> None:
        self._failures.pop(key, None)


class KeyQueue(Generic[K]):
    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._ready: deque[K] = deque()
        self._waiting: set[K] = set()
        self._active: set[K] = set()
        self._dirty: set[K] = set()
        self._delayed: list[tuple[float, int, K]] = []
        self._due: dict[K, float] = {}
        self._order = itertools.count()
        self._changed = asyncio.Event()
        self._closed = False

    def __len__(self) -> int:
        """Keys that wait or are worked on; delayed ones do not count."""
        return len(self._ready) + len(self._active)

    @property
    def idle(self) -> bool:
        return not self._ready and not self._active

    def add(self, key: K) -> None:
        if self._closed:
            return
        if key in self._active:
            self._dirty.add(key)
        elif key not in self._waiting:
            self._waiting.add(key)
            self._ready.append(key)
            self._changed.set()

    def add_after(self, key: K, seconds: float) -> None:
        """Adds the key later; an earlier time that was asked for before stays."""
        due = self._clock.monotonic() + max(0.0, seconds)
        if self._closed or self._due.get(key, due) < due:
            return
        self._due[key] = due
        heapq.heappush(self._delayed, (due, next(self._order), key))
        self._changed.set()

    async def get(self) -> K:
        """The next key, to be given to `done`. Raises QueueClosed."""
        while True:
            wait = self._promote()
            if self._closed:
                raise QueueClosed
            if self._ready:
                key = self._ready.popleft()
                self._waiting.discard(key)
                self._active.add(key)
                return key
            self._changed.clear()
            await self._wait(wait)

    def done(self, key: K) -> None:
        self._active.discard(key)
        if key in self._dirty:
            self._dirty.discard(key)
            self.add(key)

    def close(self) -> None:
        """No more keys: what is being worked on is finished, what waits is dropped."""
        self._closed = True
        self._ready.clear()
        self._waiting.clear()
        self._dirty.clear()
        self._changed.set()

    def _promote(self) -> float | None:
        """Makes ready what is due; answers the seconds to the next delayed key."""
        now = self._clock.monotonic()
        while self._delayed:
            due, _, key = self._delayed[0]
            if self._due.get(key) != due:
                heapq.heappop(self._delayed)
            elif due <= now + _RESOLUTION_S:
                heapq.heappop(self._delayed)
                del self._due[key]
                self.add(key)
            else:
                return due - now
        return None

    async def _wait(self, seconds: float | None) -> None:
        if seconds is None:
            await self._changed.wait()
            return
        try:
            async with asyncio.timeout(seconds):
                await self._changed.wait()
        except TimeoutError:
            return
