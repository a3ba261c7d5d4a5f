"""Which worker takes a call, and how long a dead one waits before it is started again."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final, Self


class WorkerState(StrEnum):
    """Where a worker process stands."""

    STARTING = "starting"
    READY = "ready"
    DEAD = "dead"


@dataclass(frozen=True, slots=True)
class WorkerView:
    """A worker as the choice sees it."""

    number: int
    state: WorkerState
    calls: int


def choose_worker(
    workers: Sequence[WorkerView], wanted: int, avoid: frozenset[int] = frozenset()
) -> int | None:
    """The number of the worker that takes the next call, or None while none is ready.

    Of `wanted` + 1 workers the last one that became ready is the warm spare: it gets calls only
    when others are missing. Among the rest the one with the fewest calls is chosen. Those to
    `avoid` are asked only when nobody else is ready.
    """
    ready = sorted(
        (worker for worker in workers if worker.state is WorkerState.READY),
        key=lambda worker: (worker.calls == 0, worker.number),
    )
    serving = ([worker for worker in ready if worker.number not in avoid] or ready)[:wanted]
    if not serving:
        return None
    return min(serving, key=lambda worker: (worker.calls, worker.number)).number


FIRST_BACKOFF_S: Final = 0.25
LONGEST_BACKOFF_S: Final = 15.0
STEADY_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class Backoff:
    """How long to wait before a start: doubling, and forgotten once a worker ran steadily."""

    deaths: int = 0

    def after_death(self, *, lived_s: float) -> Self:
        """The state after a worker that had run for `lived_s` seconds died."""
        return replace(self, deaths=1 if lived_s >= STEADY_S else self.deaths + 1)

    @property
    def delay_s(self) -> float:
        """Seconds to wait; the first death costs nothing, since it says little."""
        if self.deaths <= 1:
            return 0.0
        return min(LONGEST_BACKOFF_S, FIRST_BACKOFF_S * 2.0 ** min(self.deaths - 2, 16))
