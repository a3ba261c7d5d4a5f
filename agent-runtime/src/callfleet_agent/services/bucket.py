"""The token bucket: so many requests a minute, and a few at once."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Limit:
    """Requests a minute in the long run, and at most `burst` at once."""

    per_minute: float = 100.0
    burst: float = 20.0

    @property
    def per_second(self) -> float:
        """How fast the bucket fills."""
        return self.per_minute / 60.0

    @property
    def fills_in_s(self) -> float:
        """How long an empty bucket takes to be full."""
        return self.burst / self.per_second


DEFAULT: Final = Limit()


@dataclass(slots=True)
class Bucket:
    """One client's tokens at a moment."""

    tokens: float
    at: float

    def take(self, limit: Limit, now: float) -> float:
        """Take a token: 0 when there was one, else the seconds until there will be."""
        filled = self.tokens + max(0.0, now - self.at) * limit.per_second
        self.tokens = min(limit.burst, filled)
        self.at = max(now, self.at)
        if self.tokens >= 1.0:
            self.tokens -= 1.0
            return 0.0
        return (1.0 - self.tokens) / limit.per_second
