"""What has been spent of an account: by the minute and by the day (UTC)."""

from dataclasses import dataclass, field

from callfleet_agent.chain.limits import Allowance

_MINUTE_S = 60
_DAY_S = 86_400


@dataclass(slots=True)
class Budget:
    """Counts requests and units in whole minutes and days. `wall` is seconds since 1970, UTC."""

    allowance: Allowance = field(default_factory=Allowance)
    _minute: int = -1
    _day: int = -1
    _in_minute: int = 0
    _in_day: int = 0
    _units: float = 0.0

    def allows(self, wall: float, units: float) -> bool:
        """Whether one more request of this many units is within every limit."""
        self._turn_page(wall)
        allowance = self.allowance
        limits = (
            (allowance.requests_per_minute, self._in_minute + 1),
            (allowance.requests_per_day, self._in_day + 1),
            (allowance.units_per_day, self._units + units),
        )
        return all(limit is None or after <= limit for limit, after in limits)

    def request(self, wall: float, units: float) -> None:
        """One more request was sent."""
        self._turn_page(wall)
        self._in_minute += 1
        self._in_day += 1
        self._units += units

    def spend(self, wall: float, units: float) -> None:
        """Units that became known after the request was sent."""
        self._turn_page(wall)
        self._units += units

    def _turn_page(self, wall: float) -> None:
        minute, day = int(wall // _MINUTE_S), int(wall // _DAY_S)
        if minute != self._minute:
            self._minute, self._in_minute = minute, 0
        if day != self._day:
            self._day, self._in_day, self._units = day, 0, 0.0
