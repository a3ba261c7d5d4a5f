"""One clock of 20 ms for all calls of a process, in four groups 5 ms apart.

The grid is fixed when the ticker starts, so nothing drifts. After a stall each call gets one tick
that says how many were skipped, never a burst. A group without calls sleeps: waking up 50 times a
second for nothing costs half a percent of a core.
"""

from __future__ import annotations

import asyncio
import logging
import time
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass, field
from math import ceil, inf

from callfleet_agent.transport.failure import described

log = logging.getLogger(__name__)

PERIOD_S = 0.02
GROUPS = 4

OnTick = Callable[[int], None]


@dataclass(slots=True)
class Lateness:
    """How late ticks came, in buckets whose upper bounds are milliseconds."""

    bounds_ms: tuple[float, ...] = (0.1, 0.25, 0.5, 1, 2, 3, 5, 7.5, 10, 15, 20, 50, 100, inf)
    counts: list[int] = field(default_factory=list)
    total_ms: float = 0.0
    worst_ms: float = 0.0
    skipped: int = 0

    def __post_init__(self) -> None:
        self.counts = self.counts or [0] * len(self.bounds_ms)

    @property
    def count(self) -> int:
        return sum(self.counts)

    def add(self, late_ms: float) -> None:
        self.counts[bisect_left(self.bounds_ms, late_ms)] += 1
        self.total_ms += late_ms
        self.worst_ms = max(self.worst_ms, late_ms)

    def quantile_ms(self, quantile: float) -> float:
        """The upper bound of the bucket that holds the quantile (never above the worst seen)."""
        wanted, seen = quantile * self.count, 0
        for bound, count in zip(self.bounds_ms, self.counts, strict=True):
            seen += count
            if count and seen >= wanted:
                return min(bound, self.worst_ms)
        return 0.0


class TickHandle:
    """One call's place on the ticker."""

    __slots__ = ("_group", "on_tick")

    def __init__(self, group: _Group, on_tick: OnTick) -> None:
        self._group = group
        self.on_tick = on_tick

    def cancel(self) -> None:
        """No tick comes after this; cancelling twice is harmless."""
        self._group.members.pop(self, None)


@dataclass(slots=True, eq=False)
class _Group:
    next_due: float = 0.0
    members: dict[TickHandle, None] = field(default_factory=dict)
    timer: asyncio.TimerHandle | None = None


class Ticker:
    """Calls every member once in each period with the number of ticks that were skipped."""

    def __init__(
        self,
        *,
        clock: Callable[[], float] = time.monotonic,
        period_s: float = PERIOD_S,
        groups: int = GROUPS,
    ) -> None:
        self.lateness = Lateness()
        self._clock = clock
        self._period = period_s
        self._groups = [_Group() for _ in range(groups)]
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def members(self) -> int:
        return sum(len(group.members) for group in self._groups)

    def add(self, on_tick: OnTick) -> TickHandle:
        """Joins the smallest group; the first tick comes within one period."""
        group = min(self._groups, key=lambda group: len(group.members))
        handle = TickHandle(group, on_tick)
        group.members[handle] = None
        if self._loop is not None and group.timer is None:
            self._wake(self._loop, group)
        return handle

    def start(self) -> None:
        """Starts on the running loop."""
        if self._loop is not None:
            raise RuntimeError("the ticker runs already")
        self._loop = asyncio.get_running_loop()
        origin = self._clock()
        for number, group in enumerate(self._groups):
            group.next_due = origin + self._period * (1 + number / len(self._groups))
            if group.members:
                self._arm(self._loop, group)

    async def stop(self) -> None:
        """No tick comes after this. The members stay, and tick again after another start."""
        for group in self._groups:
            if group.timer is not None:
                group.timer.cancel()
                group.timer = None
        self._loop = None

    def _wake(self, loop: asyncio.AbstractEventLoop, group: _Group) -> None:
        """Goes on at the next place of the grid: nobody missed those that went by."""
        slept = max(0.0, self._clock() - group.next_due)
        group.next_due += self._period * ceil(slept / self._period)
        self._arm(loop, group)

    def _arm(self, loop: asyncio.AbstractEventLoop, group: _Group) -> None:
        delay = max(0.0, group.next_due - self._clock())
        group.timer = loop.call_later(delay, self._fire, loop, group)

    def _fire(self, loop: asyncio.AbstractEventLoop, group: _Group) -> None:
        # uvloop's timers have a resolution of 1 ms, so one may come a little early: not late.
        late = max(0.0, self._clock() - group.next_due)
        skipped = int(late / self._period)
        group.next_due += self._period * (1 + skipped)
        self.lateness.add(late * 1000)
        self.lateness.skipped += skipped
        for member in tuple(group.members):
            if member in group.members:
                self._tick(member, skipped)
        if group.timer is None:  # stopped by a member
            return
        group.timer = None
        if group.members:
            self._arm(loop, group)

    def _tick(self, member: TickHandle, skipped: int) -> None:
        try:
            member.on_tick(skipped)
        except Exception as error:
            log.error("a call's tick failed", extra=described(error))  # noqa: TRY400
