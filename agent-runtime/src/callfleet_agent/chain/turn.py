"""One turn of a chain: who is asked, when the next one is, and whose pieces count.

Hedging asks the next one too: where the first piece takes longer than usual, and where an answer
stalls in its middle and what has come of it is about to be used up.

Events and `now` (monotonic seconds) go in, actions come out; `due` says when `time_passed` must be
called. The edge starts and cancels requests, and does nothing else on its own.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from callfleet_agent.chain.attempt import Attempt, AttemptEvent, AttemptState
from callfleet_agent.chain.faults import Fault
from callfleet_agent.chain.member import Member
from callfleet_agent.chain.order import order, refusal_of_all

USUAL_FIRST_S: Final = 0.3  # of who has not been asked often enough
SHORTEST_WAIT_S: Final = 0.02


@dataclass(frozen=True, slots=True)
class Start:
    """Ask this member; from the beginning of the turn."""

    attempt: int
    member: Member


@dataclass(frozen=True, slots=True)
class Cancel:
    """Nothing of this request is wanted any more."""

    attempt: int


@dataclass(frozen=True, slots=True)
class Deliver:
    """The piece that just came counts. `anew`: another member began this turn and broke off, and
    this piece is the first of the answer as this one gives it."""

    attempt: int
    anew: bool


@dataclass(frozen=True, slots=True)
class Finished:
    """The answer is whole."""

    attempt: int


@dataclass(frozen=True, slots=True)
class Exhausted:
    """Nobody gave a whole answer; `fault` is the last reason."""

    fault: Fault


@dataclass(frozen=True, slots=True)
class Failure:
    """An attempt that failed, for metrics and logs."""

    member: str
    fault: Fault


Action = Start | Cancel | Deliver | Finished | Exhausted


@dataclass(slots=True)
class _Request:
    member: Member
    attempt: Attempt
    trial: bool
    hedge_at: float | None


class Turn:
    """One question to a chain. `units`: what it costs, as far as that is known before."""

    def __init__(self, members: Sequence[Member], units: float = 0.0) -> None:
        self._members = members
        self._units = units
        self._next: deque[Member] = deque()
        self._requests: dict[int, _Request] = {}
        self._winner: int | None = None
        self._broken_off = False
        self._fault = Fault.NO_PROVIDER
        self._over = False
        self.failures: list[Failure] = []

    @property
    def over(self) -> bool:
        """Whether nothing more will come of it."""
        return self._over

    def member(self, attempt: int) -> Member:
        """Who was asked in this attempt."""
        return self._requests[attempt].member

    def begin(self, now: float) -> list[Action]:
        """Asks the first one."""
        self._next = deque(order(self._members, now, self._units))
        self._fault = refusal_of_all(self._members, now, self._units)
        return self._ask(now) or self._exhausted()

    def connected(self, attempt: int, now: float) -> list[Action]:
        """A connection stands."""
        self._requests[attempt].attempt.on(AttemptEvent.CONNECTED, now)
        return []

    def piece(self, attempt: int, now: float) -> list[Action]:
        """A piece of an answer came."""
        request = self._requests[attempt]
        before = request.attempt.quiet_since
        if not request.attempt.on(AttemptEvent.PIECE, now):
            return []
        if self._winner == attempt:
            request.member.next_piece(now - before)
            self._await_more(request, now)
            return [*self._drop_losers(now), Deliver(attempt, anew=False)]
        actions = self._overtake(now)
        self._winner = attempt
        request.member.first(now - request.attempt.began)
        self._await_more(request, now)
        return [*actions, *self._drop_losers(now), Deliver(attempt, anew=self._broken_off)]

    def ended(self, attempt: int, now: float) -> list[Action]:
        """An answer is complete; one without a piece is no answer."""
        request = self._requests[attempt]
        if not request.attempt.on(AttemptEvent.END, now):
            return []
        if request.attempt.state is AttemptState.FAILED:
            return self._lost(request, Fault.EMPTY, now)
        request.member.succeeded()
        self._over = True
        return [*self._drop_losers(now), Finished(attempt)]

    def failed(
        self, attempt: int, fault: Fault, now: float, retry_after_s: float | None = None
    ) -> list[Action]:
        """A request failed."""
        request = self._requests[attempt]
        if not request.attempt.on(AttemptEvent.FAULT, now):
            return []
        return self._lost(request, fault, now, retry_after_s)

    def cancelled(self, now: float) -> list[Action]:
        """Nobody wants the answer any more."""
        self._over = True
        actions: list[Action] = []
        for number, request in self._live():
            request.attempt.on(AttemptEvent.CANCEL, now)
            request.member.abandoned()
            actions.append(Cancel(number))
        return actions

    def spent(self, attempt: int, units: float, now: float) -> None:
        """Units that became known with the answer."""
        self._requests[attempt].member.spent(now, units)

    @property
    def due(self) -> float | None:
        """When `time_passed` is to be called; None: never."""
        times = [due for _, request in self._live() if (due := request.attempt.due) is not None]
        times += [at for _, request in self._live() if (at := self._hedge(request)) is not None]
        return min(times, default=None)

    def time_passed(self, now: float, ahead_s: float = 0.0) -> list[Action]:
        """Ends what is late, and asks another one where an answer is awaited for long. `ahead_s`:
        how long what has come will last."""
        actions: list[Action] = []
        for number, request in self._live():
            if (late := request.attempt.overdue(now)) is not None:
                request.attempt.on(AttemptEvent.FAULT, now)
                actions += [Cancel(number), *self._lost(request, late, now)]
        for _, request in self._live():
            hedge_at = self._hedge(request)
            if hedge_at is None or now < hedge_at:
                continue
            spare_s = ahead_s - self._next_first_s() if self._winner is not None else 0.0
            request.hedge_at = now + max(spare_s, SHORTEST_WAIT_S) if spare_s > 0 else None
            if request.hedge_at is None:
                actions += self._ask(now)
        return actions

    def _live(self) -> list[tuple[int, _Request]]:
        return [item for item in self._requests.items() if item[1].attempt.live]

    def _hedge(self, request: _Request) -> float | None:
        if not self._next:
            return None
        awaited = self._winner is None or self._requests[self._winner] is request
        return request.hedge_at if awaited else None

    def _await_more(self, request: _Request, now: float) -> None:
        after_s = request.member.stalls_after()
        request.hedge_at = None if after_s is None else now + after_s

    def _next_first_s(self) -> float:
        usual = self._next[0].latency.percentile(50)
        return USUAL_FIRST_S if usual is None else usual

    def _overtake(self, now: float) -> list[Action]:
        """Whoever stalls in the middle of an answer has lost it to the one that was asked then."""
        if self._winner is None:
            return []
        stalled = self._requests[self._winner]
        stalled.attempt.on(AttemptEvent.FAULT, now)
        stalled.member.failed(Fault.STALLED, now)
        self.failures.append(Failure(stalled.member.name, Fault.STALLED))
        self._broken_off = True
        return [Cancel(self._winner)]

    def _ask(self, now: float) -> list[Action]:
        member = self._who_pays(now)
        if member is None:
            return []
        number = len(self._requests)
        trial = member.begin(now)
        after_s = member.hedge_after(trial=trial)
        self._requests[number] = _Request(
            member,
            Attempt(member.settings.limits, now),
            trial,
            None if after_s is None else now + after_s,
        )
        return [Start(number, member)]

    def _who_pays(self, now: float) -> Member | None:
        """The next one whose budget was not spent by others since the turn began."""
        while self._next:
            member = self._next.popleft()
            if member.pays(now, self._units):
                return member
            self._fault = Fault.OVER_BUDGET
            self.failures.append(Failure(member.name, Fault.OVER_BUDGET))
        return None

    def _lost(
        self, request: _Request, fault: Fault, now: float, retry_after_s: float | None = None
    ) -> list[Action]:
        request.member.failed(fault, now, retry_after_s)
        self.failures.append(Failure(request.member.name, fault))
        self._fault = fault
        if self._winner is not None and self._requests[self._winner] is request:
            self._winner = None
            self._broken_off = True
        if self._winner is not None:  # it stalls still, or nobody else had been asked
            return self._ask(now)
        if self._live():
            return []
        return self._ask(now) or self._exhausted()

    def _exhausted(self) -> list[Action]:
        self._over = True
        return [Exhausted(self._fault)]

    def _drop_losers(self, now: float) -> list[Action]:
        """A trial that was overtaken has not shown that its provider is well again; one that was
        silent for far longer than ever is not well."""
        actions: list[Action] = []
        for number, request in self._live():
            if number == self._winner:
                continue
            request.attempt.on(AttemptEvent.CANCEL, now)
            overtaken = self._winner is not None and number < self._winner
            if overtaken and (request.trial or request.member.hedged_when_silent):
                request.member.failed(Fault.SLOW_FIRST, now)
                self.failures.append(Failure(request.member.name, Fault.SLOW_FIRST))
            else:
                request.member.abandoned()
            if not (overtaken and request.trial):
                self._next.appendleft(request.member)  # the winner may still break off
            actions.append(Cancel(number))
        return actions
