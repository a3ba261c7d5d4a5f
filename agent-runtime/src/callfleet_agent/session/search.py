"""A call's search for a worker: whom to ask next, how long to pause, when to give up.

Two things go wrong, and they are counted apart. A worker that dies under the call may have been
killed by it, so after too many deaths without a finished turn the call is ended before it has
killed them all. A worker that does not take the call (full, starting, short of CPU) says nothing of
the call: others are asked first, in growing intervals, while the caller hears comfort noise.
"""

from dataclasses import dataclass, replace
from typing import Final, Self

WAIT_S: Final = 30.0
MOST_DEATHS: Final = 8
FIRST_PAUSE_S: Final = 0.05
LONGEST_PAUSE_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class Search:
    """Where the search stands. `since`: when the call was offered, or last lost its worker, in
    seconds on a monotonic clock."""

    since: float
    deaths: int = 0
    turns: int = 0
    refusals: int = 0
    avoid: frozenset[int] = frozenset()

    def on_refused(self, worker: int) -> Self:
        """The state after a worker did not take the call.

        One that is asked again although it was to be avoided shows that all were asked: a new
        round begins.
        """
        avoid = frozenset() if worker in self.avoid else self.avoid
        return replace(self, refusals=self.refusals + 1, avoid=avoid | {worker})

    def on_death(self, worker: int, *, at: float) -> Self:
        """The state after the worker that held the call was lost."""
        return type(self)(since=at, deaths=self.deaths + 1, avoid=frozenset({worker}))

    def on_turn(self) -> Self:
        """The state after a worker handed over the context of a turn.

        Its first one is that of its own opening words, and shows nothing; a second one shows that
        the call does not kill workers.
        """
        turns = self.turns + 1
        return replace(self, turns=turns, deaths=self.deaths if turns < 2 else 0)

    @property
    def pause_s(self) -> float:
        """Seconds until the next worker is asked."""
        return min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2.0 ** min(self.refusals, 16))

    def left_s(self, *, now: float) -> float:
        """Seconds for which the search goes on; 0 when it is hopeless."""
        if self.deaths > MOST_DEATHS:
            return 0.0
        return max(0.0, self.since + WAIT_S - now)
