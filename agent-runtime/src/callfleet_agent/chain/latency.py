"""How long a provider's answers take to begin."""

from collections import deque
from dataclasses import dataclass, field
from typing import Final

KEPT: Final = 100
ENOUGH: Final = 10


@dataclass(slots=True)
class Latency:
    """The last hundred times from a request to the first piece of its answer, in seconds."""

    _times: deque[float] = field(default_factory=lambda: deque(maxlen=KEPT))

    def add(self, seconds: float) -> None:
        """One more."""
        self._times.append(seconds)

    def percentile(self, percent: float) -> float | None:
        """By the nearest rank; None while fewer than ten are known."""
        if len(self._times) < ENOUGH:
            return None
        ordered = sorted(self._times)
        return ordered[min(len(ordered) - 1, int(percent / 100 * len(ordered)))]
