"""A provider's health, kept from turn to turn: whether it may be asked now."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from callfleet_agent.chain.breaker import Circuit, CircuitBreaker
from callfleet_agent.chain.budget import Budget
from callfleet_agent.chain.faults import EFFECTS, Effect, Fault
from callfleet_agent.chain.latency import Latency
from callfleet_agent.chain.limits import MemberSettings

DEFAULT_PAUSE_S: Final = 1.0
LONGEST_PAUSE_S: Final = 3600.0
TRIAL_PERCENTILE: Final = 95
WHEN_SILENT: Final = 99
SHORTEST_SILENCE_S: Final = 0.25
SLOWEST_TIMES: Final = 2  # so many times the slowest of a hundred is silence
SHORTEST_STALL_S: Final = 0.15
_WORST_LAST: Final = (Circuit.CLOSED, Circuit.HALF_OPEN, Circuit.OPEN)
USUAL_GAPS: Final = 3  # so many times a usual gap is a stall


@dataclass(slots=True)
class Member:
    """One provider of a chain. `wall_offset`: seconds since 1970 less the clock of `now`."""

    settings: MemberSettings
    wall_offset: float = 0.0
    breaker: CircuitBreaker = field(default_factory=CircuitBreaker)
    latency: Latency = field(default_factory=Latency)
    gaps: Latency = field(default_factory=Latency)
    budget: Budget = field(default_factory=Budget)
    running: int = 0
    paused_until: float = 0.0

    def __post_init__(self) -> None:
        self.budget.allowance = self.settings.allowance

    @property
    def name(self) -> str:
        return self.settings.name

    def follow(self, settings: MemberSettings) -> None:
        """New settings of the same provider: its health stays as it is known."""
        self.settings = settings
        self.budget.allowance = settings.allowance

    def refusal(self, now: float, units: float) -> Fault | None:
        """Why it is not to be asked now; None when it may be."""
        if now < self.paused_until:
            return Fault.RATE_LIMITED
        if not self.budget.allows(now + self.wall_offset, units):
            return Fault.OVER_BUDGET
        if self.settings.concurrency and self.running >= self.settings.concurrency:
            return Fault.BUSY
        if not self.breaker.ready(now):
            return Fault.CIRCUIT_OPEN
        return None

    def pays(self, now: float, units: float) -> bool:
        """Counts what a request costs, if the budget still has it."""
        return self.budget.take(now + self.wall_offset, units)

    def begin(self, now: float) -> bool:
        """Counts a request in; whether it is the trial of a half-open circuit."""
        trial = self.breaker.state(now) is Circuit.HALF_OPEN and self.breaker.admits(now)
        self.running += 1
        return trial

    def first(self, seconds: float) -> None:
        """The answer began this long after the request."""
        self.latency.add(seconds)

    def next_piece(self, seconds: float) -> None:
        """The next piece came this long after the one before."""
        self.gaps.add(seconds)

    def succeeded(self) -> None:
        """A whole answer came."""
        self.running -= 1
        self.breaker.succeeded()

    def abandoned(self) -> None:
        """The request was given up before anything was known."""
        self.running -= 1
        self.breaker.abandoned()

    def failed(self, fault: Fault, now: float, retry_after_s: float | None = None) -> None:
        """No whole answer came."""
        self.running -= 1
        match EFFECTS[fault]:
            case Effect.COUNTS:
                self.breaker.failed(now)
            case Effect.TRIPS:
                self.breaker.trip(now)
            case Effect.PAUSES:
                pause_s = DEFAULT_PAUSE_S if retry_after_s is None else retry_after_s
                self.paused_until = now + min(max(0.0, pause_s), LONGEST_PAUSE_S)
                self.breaker.abandoned()
            case _:
                self.breaker.abandoned()

    def spent(self, now: float, units: float) -> None:
        """Units that became known with the answer."""
        self.budget.spend(now + self.wall_offset, units)

    @property
    def hedged_when_silent(self) -> bool:
        """Whether another one is asked too only when that says that this one is not well: below,
        some answers in a hundred are hedged however well it is."""
        return self.settings.hedge_percentile >= WHEN_SILENT

    def hedge_after(self, *, trial: bool) -> float | None:
        """After how many seconds without a piece the next one is asked too; None: never.

        A trial is hedged in any case, so that no caller waits for a provider that is still down.
        """
        if trial:
            usual = self.latency.percentile(TRIAL_PERCENTILE)
            return self.settings.limits.first_s / 2 if usual is None else usual
        if not self.settings.hedge_percentile:
            return None
        usual = self.latency.percentile(self.settings.hedge_percentile)
        if usual is None or not self.hedged_when_silent:
            return usual
        return max(SHORTEST_SILENCE_S, SLOWEST_TIMES * usual)

    def stalls_after(self) -> float | None:
        """After how many seconds without a further piece the next one is asked too; None: never.

        Gaps are short beside what they may be, so it takes several times the usual one.
        """
        percentile, half_s = self.settings.hedge_percentile, self.settings.limits.gap_s / 2
        if not percentile:
            return None
        usual = self.gaps.percentile(percentile)
        return half_s if usual is None else min(half_s, max(SHORTEST_STALL_S, USUAL_GAPS * usual))


def worst_circuit(members: Iterable[Member], now: float) -> Circuit | None:
    """The worst state of the breakers of a chain; None where it has no members."""
    states = (member.breaker.state(now) for member in members)
    return max(states, key=_WORST_LAST.index, default=None)
