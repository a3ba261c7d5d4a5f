"""A clock that passes over stalls, for tests in which a limit counts that they are not about."""

import time
from collections.abc import Callable


class PatientClock:
    """Seconds of a monotonic clock; between two readings at most `step_s` go by. Where it is read
    more often than that, as by what ticks every 20 ms, it goes as fast as the real one, but for
    the time in which this process had no processor."""

    def __init__(self, step_s: float = 0.02, real: Callable[[], float] = time.monotonic) -> None:
        self._step_s = step_s
        self._real = real
        self._now = self._read_at = real()

    def __call__(self) -> float:
        read_at = self._real()
        self._now += min(self._step_s, read_at - self._read_at)
        self._read_at = read_at
        return self._now
