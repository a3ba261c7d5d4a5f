"""One-time codes of the demonstration's bank: good once, for five minutes and three tries."""

import secrets
import time
from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

DIGITS: Final = 6
GOOD_FOR_S: Final = 300
MOST_TRIES: Final = 3
MOST_SENT: Final = 5  # within SENT_WITHIN_S, to one customer
SENT_WITHIN_S: Final = 900
_MOST_KNOWN: Final = 10_000


class Judged(StrEnum):
    """What a code turned out to be. Expired: used, too late, tried too often or never sent."""

    RIGHT = "right"
    WRONG = "wrong"
    EXPIRED = "expired"


def drawn_code() -> str:
    """As many digits as a code has."""
    return f"{secrets.randbelow(10**DIGITS):0{DIGITS}}"


@dataclass(slots=True)
class _Code:
    digits: str = field(repr=False)
    until: float
    tries: int = 0


@dataclass(slots=True)
class OneTimeCodes:
    """The codes that are out, by whom they belong to. A new one replaces the one before."""

    clock: Callable[[], float] = time.monotonic
    draw: Callable[[], str] = drawn_code
    _out: dict[str, _Code] = field(default_factory=dict, repr=False)
    _sent: defaultdict[str, deque[float]] = field(
        default_factory=lambda: defaultdict(lambda: deque(maxlen=MOST_SENT)), repr=False
    )

    def make(self, whose: str) -> str | None:
        """A new code; None when too many were made of late."""
        now, sent = self.clock(), self._sent[whose]
        if len(sent) == MOST_SENT and now - sent[0] < SENT_WITHIN_S:
            return None
        sent.append(now)
        code = self.draw()
        self._out.pop(whose, None)
        self._out[whose] = _Code(code, now + GOOD_FOR_S)
        if len(self._out) > _MOST_KNOWN:
            oldest = next(iter(self._out))
            del self._out[oldest], self._sent[oldest]
        return code

    def judge(self, whose: str, given: str) -> Judged:
        """Compares in constant time; a right code is used up."""
        code = self._out.get(whose)
        if code is None or self.clock() >= code.until or code.tries >= MOST_TRIES:
            self._out.pop(whose, None)
            return Judged.EXPIRED
        code.tries += 1
        if not secrets.compare_digest(given.encode(), code.digits.encode()):
            return Judged.WRONG
        del self._out[whose]
        return Judged.RIGHT
