"""What has been spent of an account: by the minute and by the day (UTC)."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Final, Protocol

from callfleet_agent.chain.limits import Allowance

_MINUTE_S: Final = 60
_DAY_S: Final = 86_400
_UNLIMITED: Final = Allowance()


@dataclass(slots=True)
class Spent:
    """A page of the account: the minute and the day that it is about, and what they cost."""

    minute: int = -1
    day: int = -1
    in_minute: int = 0
    in_day: int = 0
    units: float = 0.0

    def turn_page(self, wall: float) -> None:
        """Begins anew with a minute or a day. Clocks of processes differ by a little, so a page is
        not turned back to the one before."""
        minute, day = int(wall // _MINUTE_S), int(wall // _DAY_S)
        if minute not in (self.minute, self.minute - 1):
            self.minute, self.in_minute = minute, 0
        if day not in (self.day, self.day - 1):
            self.day, self.in_day, self.units = day, 0, 0.0


class Ledger(Protocol):
    """Where it is written down."""

    def open(self) -> AbstractContextManager[Spent]:
        """What has been spent, to be read and changed by nobody else meanwhile."""
        ...


class OwnLedger:
    """Of one process alone."""

    def __init__(self) -> None:
        self._spent = Spent()

    @contextmanager
    def open(self) -> Iterator[Spent]:
        """The same page each time."""
        yield self._spent


@dataclass(slots=True)
class Budget:
    """Counts requests and units in whole minutes and days. `wall` is seconds since 1970, UTC.
    Without a limit nothing is counted."""

    allowance: Allowance = field(default_factory=Allowance)
    ledger: Ledger = field(default_factory=OwnLedger)

    def allows(self, wall: float, units: float) -> bool:
        """Whether one more request of this many units is within every limit."""
        if self.allowance == _UNLIMITED:
            return True
        with self.ledger.open() as spent:
            spent.turn_page(wall)
            return self._within(spent, units)

    def take(self, wall: float, units: float) -> bool:
        """Counts one more request, if it is within every limit."""
        if self.allowance == _UNLIMITED:
            return True
        with self.ledger.open() as spent:
            spent.turn_page(wall)
            if not self._within(spent, units):
                return False
            spent.in_minute += 1
            spent.in_day += 1
            spent.units += units
            return True

    def spend(self, wall: float, units: float) -> None:
        """Units that became known after the request was sent."""
        if self.allowance == _UNLIMITED:
            return
        with self.ledger.open() as spent:
            spent.turn_page(wall)
            spent.units += units

    def _within(self, spent: Spent, units: float) -> bool:
        allowance = self.allowance
        limits = (
            (allowance.requests_per_minute, spent.in_minute + 1),
            (allowance.requests_per_day, spent.in_day + 1),
            (allowance.units_per_day, spent.units + units),
        )
        return all(limit is None or after <= limit for limit, after in limits)
