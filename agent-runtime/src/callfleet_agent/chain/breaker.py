"""A circuit breaker: after failures in a row nothing is sent for a while, then one trial goes."""

from dataclasses import dataclass
from enum import StrEnum


class Circuit(StrEnum):
    """The three states of the breaker."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


@dataclass(slots=True)
class CircuitBreaker:
    """Opens after `failures_to_open` failures in a row; after `open_s` seconds one trial goes."""

    failures_to_open: int = 5
    open_s: float = 30.0
    _failures: int = 0
    _opened_at: float | None = None
    _trial: bool = False

    def state(self, now: float) -> Circuit:
        """The state at `now` (monotonic seconds)."""
        if self._opened_at is None:
            return Circuit.CLOSED
        return Circuit.OPEN if now - self._opened_at < self.open_s else Circuit.HALF_OPEN

    def ready(self, now: float) -> bool:
        """What `admits` would say, without taking the trial."""
        return self.state(now) is not Circuit.OPEN and not self._trial

    def admits(self, now: float) -> bool:
        """Whether a request may go now; in the half-open state the first one that asks may."""
        state = self.state(now)
        if state is Circuit.HALF_OPEN and not self._trial:
            self._trial = True
            return True
        return state is Circuit.CLOSED

    def succeeded(self) -> None:
        """A request got an answer: closed."""
        self._failures = 0
        self._opened_at = None
        self._trial = False

    def failed(self, now: float) -> None:
        """A request got none: opens at the limit, and again when the trial failed."""
        self._failures += 1
        if self._trial or self._failures >= self.failures_to_open:
            self._opened_at = now
            self._trial = False

    def abandoned(self) -> None:
        """A request was cancelled before anything was known: the next one may be the trial."""
        self._trial = False

    def trip(self, now: float) -> None:
        """What came back makes it useless to ask again soon: opens at once."""
        self._failures = max(self._failures, self.failures_to_open)
        self._opened_at = now
        self._trial = False
