"""Timers in virtual time: a heap of deadlines with what to do then."""

import heapq
from collections.abc import Callable


class Timer:
    """One pending timer; ``cancel`` may be called at any time, also after it fired."""

    __slots__ = ("_action", "at")

    def __init__(self, at: float, action: Callable[[], None]) -> None:
        self.at = at
        self._action: Callable[[], None] | None = action

    @property
    def pending(self) -> bool:
        return self._action is not None

    def cancel(self) -> None:
        self._action = None

    def fire(self) -> None:
        action, self._action = self._action, None
        if action is not None:
            action()


class TimerQueue:
    """Timers in the order of their deadlines, and of their start where deadlines are equal."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Timer]] = []
        self._started = 0

    def start(self, at: float, action: Callable[[], None]) -> Timer:
        timer = Timer(at, action)
        self._started += 1
        heapq.heappush(self._heap, (at, self._started, timer))
        return timer

    def next(self) -> float | None:
        """When the earliest pending timer is due."""
        while self._heap and not self._heap[0][2].pending:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def fire_due(self, now: float) -> None:
        """Fire what is due; what a timer starts and is due at once fires too."""
        while (at := self.next()) is not None and at <= now:
            heapq.heappop(self._heap)[2].fire()
