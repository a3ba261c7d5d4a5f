"""A turn of a chain: every transition, with time as an argument."""

import pytest

from callfleet_agent.chain import (
    Allowance,
    Attempt,
    AttemptEvent,
    Budget,
    Cancel,
    Circuit,
    Deliver,
    Exhausted,
    Failure,
    Fault,
    Finished,
    Limits,
    Member,
    MemberSettings,
    Start,
    Turn,
)

LIMITS = Limits(connect_s=0.5, first_s=2.0, gap_s=1.0, total_s=10.0)


def member(name: str, **settings: object) -> Member:
    fields = {"name": name, "limits": LIMITS, **settings}
    return Member(MemberSettings(**fields))  # type: ignore[arg-type]


def opened(name: str, at: float = 0.0) -> Member:
    found = member(name)
    found.breaker.trip(at)
    return found


def test_the_first_member_answers() -> None:
    first, second = member("a"), member("b")
    turn = Turn([first, second])
    assert turn.begin(0.0) == [Start(0, first)]
    assert turn.connected(0, 0.1) == []
    assert turn.piece(0, 0.2) == [Deliver(0, anew=False)]
    assert turn.piece(0, 0.3) == [Deliver(0, anew=False)]
    assert turn.ended(0, 0.4) == [Finished(0)]
    assert turn.over
    assert turn.due is None
    assert (first.running, second.running) == (0, 0)


@pytest.mark.parametrize("fault", list(Fault))
def test_after_any_fault_the_next_one_is_asked(fault: Fault) -> None:
    first, second = member("a"), member("b")
    turn = Turn([first, second])
    turn.begin(0.0)
    assert turn.failed(0, fault, 0.1) == [Start(1, second)]
    assert turn.piece(1, 0.2) == [Deliver(1, anew=False)]
    assert [(failure.member, failure.fault) for failure in turn.failures] == [("a", fault)]


def test_an_answer_that_breaks_off_is_given_anew_by_the_next() -> None:
    first, second = member("a"), member("b")
    turn = Turn([first, second])
    turn.begin(0.0)
    turn.piece(0, 0.1)
    assert turn.failed(0, Fault.TRUNCATED, 0.2) == [Start(1, second)]
    assert turn.piece(1, 0.3) == [Deliver(1, anew=True)]
    assert turn.piece(1, 0.4) == [Deliver(1, anew=False)]
    assert turn.ended(1, 0.5) == [Finished(1)]


def test_an_answer_without_a_piece_is_no_answer() -> None:
    turn = Turn([member("a")])
    turn.begin(0.0)
    turn.connected(0, 0.1)
    assert turn.ended(0, 0.2) == [Exhausted(Fault.EMPTY)]
    assert turn.over


@pytest.mark.parametrize(
    ("happens", "due", "fault"),
    [
        ([], 0.5, Fault.SLOW_CONNECT),
        ([("connected", 0.4)], 2.0, Fault.SLOW_FIRST),
        ([("connected", 0.4), ("piece", 1.9)], 2.9, Fault.STALLED),
        ([("piece", 0.4 + 0.9 * n) for n in range(11)], 10.0, Fault.TOO_LONG),
    ],
)
def test_each_limit_has_its_time(
    happens: list[tuple[str, float]], due: float, fault: Fault
) -> None:
    turn = Turn([member("a")])
    turn.begin(0.0)
    for what, now in happens:
        getattr(turn, what)(0, now)
    assert turn.due == pytest.approx(due)
    assert turn.time_passed(due - 0.01) == []
    assert turn.time_passed(due + 0.001) == [Cancel(0), Exhausted(fault)]


def test_what_comes_after_the_end_changes_nothing() -> None:
    first, second = member("a"), member("b")
    turn = Turn([first, second])
    turn.begin(0.0)
    turn.failed(0, Fault.REFUSED, 0.1)
    assert turn.piece(0, 0.2) == []
    assert turn.ended(0, 0.2) == []
    assert turn.failed(0, Fault.REFUSED, 0.2) == []
    assert turn.connected(0, 0.2) == []
    assert first.running == 0


class TestOrder:
    def test_who_was_seen_away_is_asked_last(self) -> None:
        away, near = member("a", available=False), member("b")
        assert Turn([away, near]).begin(0.0) == [Start(0, near)]

    def test_who_was_seen_away_is_asked_when_the_others_fail(self) -> None:
        away, near = member("a", available=False), member("b")
        turn = Turn([away, near])
        turn.begin(0.0)
        assert turn.failed(0, Fault.REFUSED, 0.1) == [Start(1, away)]

    def test_an_open_circuit_is_passed_over(self) -> None:
        broken, near = opened("a"), member("b")
        assert Turn([broken, near]).begin(1.0) == [Start(0, near)]

    def test_an_open_circuit_is_better_than_silence(self) -> None:
        broken = opened("a")
        assert Turn([broken]).begin(1.0) == [Start(0, broken)]

    def test_nobody_is_asked_when_nobody_may(self) -> None:
        spent = member("a", allowance=Allowance(requests_per_day=1))
        spent.pays(0.0, 0.0)
        assert Turn([spent]).begin(1.0) == [Exhausted(Fault.OVER_BUDGET)]
        assert Turn([]).begin(1.0) == [Exhausted(Fault.NO_PROVIDER)]

    def test_no_more_at_once_than_the_member_takes(self) -> None:
        busy, near = member("a", concurrency=1), member("b")
        Turn([busy]).begin(0.0)
        assert Turn([busy, near]).begin(0.0) == [Start(0, near)]
        assert Turn([busy]).begin(0.0) == [Exhausted(Fault.BUSY)]


class TestBreaker:
    def test_five_turns_that_fail_open_it(self) -> None:
        found = member("a")
        for _ in range(5):
            turn = Turn([found])
            turn.begin(0.0)
            turn.failed(0, Fault.SERVER_ERROR, 0.0)
        assert found.breaker.state(0.1) is Circuit.OPEN

    def test_a_refused_key_opens_it_at_once(self) -> None:
        found = member("a")
        turn = Turn([found])
        turn.begin(0.0)
        turn.failed(0, Fault.UNAUTHORISED, 0.0)
        assert found.breaker.state(0.1) is Circuit.OPEN

    def test_a_bad_request_says_nothing_of_its_health(self) -> None:
        found = member("a")
        for _ in range(9):
            turn = Turn([found])
            turn.begin(0.0)
            turn.failed(0, Fault.BAD_REQUEST, 0.0)
        assert found.breaker.state(0.1) is Circuit.CLOSED

    def test_one_trial_at_a_time_and_its_success_closes(self) -> None:
        found, near = opened("a"), member("b")
        trial, other = Turn([found, near]), Turn([found, near])
        assert trial.begin(31.0) == [Start(0, found)]
        assert other.begin(31.0) == [Start(0, near)]
        trial.piece(0, 31.1)
        trial.ended(0, 31.2)
        assert found.breaker.state(31.3) is Circuit.CLOSED

    def test_a_trial_that_is_overtaken_opens_it_again(self) -> None:
        found, near = opened("a"), member("b")
        turn = Turn([found, near])
        turn.begin(31.0)
        turn.connected(0, 31.1)
        assert turn.due == pytest.approx(32.0)
        assert turn.time_passed(32.0) == [Start(1, near)]
        assert turn.piece(1, 32.1) == [Cancel(0), Deliver(1, anew=False)]
        assert found.breaker.state(33.0) is Circuit.OPEN
        assert turn.failures[0].fault is Fault.SLOW_FIRST

    def test_a_trial_waits_no_longer_than_usual(self) -> None:
        found, near = opened("a"), member("b")
        for _ in range(10):
            found.latency.add(0.2)
        turn = Turn([found, near])
        turn.begin(31.0)
        assert turn.due == pytest.approx(31.2)


class TestRateLimit:
    def test_retry_after_is_honoured(self) -> None:
        found, near = member("a"), member("b")
        turn = Turn([found, near])
        turn.begin(0.0)
        turn.failed(0, Fault.RATE_LIMITED, 0.0, 20.0)
        assert Turn([found, near]).begin(19.9) == [Start(0, near)]
        assert Turn([found, near]).begin(20.0) == [Start(0, found)]
        assert found.breaker.state(0.0) is Circuit.CLOSED

    @pytest.mark.parametrize(("told", "until"), [(None, 1.0), (-5.0, 0.0), (1e9, 3600.0)])
    def test_without_a_word_or_with_nonsense(self, told: float | None, until: float) -> None:
        found = member("a")
        found.begin(0.0)
        found.failed(Fault.RATE_LIMITED, 0.0, told)
        assert found.paused_until == until


class TestHedging:
    def hedged(self) -> Member:
        found = member("a", hedge_percentile=90)
        for hundredths in range(1, 11):
            found.latency.add(hundredths / 100)
        return found

    def test_the_next_is_asked_too_after_the_percentile(self) -> None:
        first, second = self.hedged(), member("b")
        turn = Turn([first, second])
        turn.begin(0.0)
        turn.connected(0, 0.01)
        assert turn.due == pytest.approx(0.1)
        assert turn.time_passed(0.1) == [Start(1, second)]
        assert turn.due == pytest.approx(0.1 + LIMITS.connect_s)

    def test_the_first_piece_wins_and_the_other_is_let_go(self) -> None:
        first, second = self.hedged(), member("b")
        turn = Turn([first, second])
        turn.begin(0.0)
        turn.time_passed(0.1)
        assert turn.piece(0, 0.15) == [Cancel(1), Deliver(0, anew=False)]
        assert (first.running, second.running) == (1, 0)
        assert turn.piece(1, 0.16) == []

    def test_the_one_that_was_let_go_is_asked_again_when_the_winner_breaks_off(self) -> None:
        first, second = self.hedged(), member("b")
        turn = Turn([first, second])
        turn.begin(0.0)
        turn.time_passed(0.1)
        turn.piece(0, 0.15)
        assert turn.failed(0, Fault.TRUNCATED, 0.2) == [Start(2, second)]
        assert turn.piece(2, 0.3) == [Deliver(2, anew=True)]

    def test_one_of_two_that_fails_leaves_the_other(self) -> None:
        first, second = self.hedged(), member("b")
        turn = Turn([first, second])
        turn.begin(0.0)
        turn.time_passed(0.1)
        assert turn.failed(0, Fault.REFUSED, 0.2) == []
        assert turn.piece(1, 0.3) == [Deliver(1, anew=False)]

    @pytest.mark.parametrize(("slowest", "after"), [(0.05, 0.25), (0.4, 0.8)])
    def test_only_when_it_is_silent_for_far_longer_than_ever(
        self, slowest: float, after: float
    ) -> None:
        found = member("a", hedge_percentile=99)
        assert found.hedge_after(trial=False) is None
        for _ in range(9):
            found.first(0.02)
        found.first(slowest)
        assert found.hedge_after(trial=False) == pytest.approx(after)

    @pytest.mark.parametrize(
        ("percentile", "failures", "circuit"),
        [(95, [], Circuit.CLOSED), (99, [Failure("a", Fault.SLOW_FIRST)], Circuit.OPEN)],
    )
    def test_who_is_silent_again_and_again_is_not_asked_any_more(
        self, percentile: int, failures: list[Failure], circuit: Circuit
    ) -> None:
        """At 95 an answer in twenty is overtaken however well its provider is."""
        first, second = member("a", hedge_percentile=percentile), member("b")
        for _ in range(10):
            first.first(0.1)
        for _ in range(5):
            turn = Turn([first, second])
            turn.begin(0.0)
            turn.connected(0, 0.01)
            assert turn.time_passed(0.3) == [Start(1, second)]
            assert turn.piece(1, 0.4) == [Cancel(0), Deliver(1, anew=False)]
            assert turn.failures == failures
            assert turn.ended(1, 0.5) == [Finished(1)]
        assert first.breaker.state(1.0) is circuit
        assert first.running == 0

    def test_who_was_silent_is_asked_again_when_the_winner_breaks_off(self) -> None:
        first, second = member("a", hedge_percentile=99), member("b")
        for _ in range(10):
            first.first(0.1)
        turn = Turn([first, second])
        turn.begin(0.0)
        turn.connected(0, 0.01)
        turn.time_passed(0.3)
        turn.piece(1, 0.4)
        assert turn.failed(1, Fault.TRUNCATED, 0.5) == [Start(2, first)]

    def test_not_while_too_little_is_known(self) -> None:
        turn = Turn([member("a", hedge_percentile=90), member("b")])
        turn.begin(0.0)
        assert turn.due == LIMITS.connect_s

    def test_not_without_a_next_one(self) -> None:
        turn = Turn([self.hedged()])
        turn.begin(0.0)
        assert turn.due == LIMITS.connect_s
        assert turn.time_passed(0.2) == []


def test_what_nobody_wants_any_more_is_cancelled() -> None:
    found = member("a")
    turn = Turn([found, member("b")])
    turn.begin(0.0)
    assert turn.cancelled(0.1) == [Cancel(0)]
    assert found.running == 0
    assert found.breaker.state(0.2) is Circuit.CLOSED
    assert turn.cancelled(0.2) == []


class TestBudget:
    def test_requests_of_a_minute(self) -> None:
        found = member("a", allowance=Allowance(requests_per_minute=2))
        assert found.pays(0.0, 0.0)
        assert found.pays(1.0, 0.0)
        assert not found.pays(2.0, 0.0)
        assert found.refusal(59.0, 0.0) is Fault.OVER_BUDGET
        assert found.refusal(60.0, 0.0) is None

    def test_units_of_a_day_and_those_that_become_known_later(self) -> None:
        found = member("a", allowance=Allowance(units_per_day=100))
        turn = Turn([found], units=60.0)
        turn.begin(0.0)
        assert found.refusal(0.0, 40.0) is None
        turn.spent(0, 1.0, 1.0)
        assert found.refusal(1.0, 40.0) is Fault.OVER_BUDGET
        assert found.refusal(86_400.0, 40.0) is None

    def test_the_day_is_that_of_the_wall_clock(self) -> None:
        settings = MemberSettings(name="a", allowance=Allowance(requests_per_day=1))
        found = Member(settings, wall_offset=86_390.0)
        found.pays(0.0, 0.0)
        assert found.refusal(9.0, 0.0) is Fault.OVER_BUDGET
        assert found.refusal(10.0, 0.0) is None

    def test_what_others_spent_since_the_turn_began_is_gone(self) -> None:
        """Two turns begin while one request is left: one gets it."""
        last = member("last", allowance=Allowance(requests_per_day=1))
        near, far = member("near"), member("far")
        one, other = Turn([near, last, far]), Turn([near, last, far])
        one.begin(0.0)
        other.begin(0.0)
        assert one.failed(0, Fault.REFUSED, 0.1) == [Start(1, last)]
        assert other.failed(0, Fault.REFUSED, 0.1) == [Start(1, far)]
        assert Failure("last", Fault.OVER_BUDGET) in other.failures

    def test_what_others_spent_may_be_the_last(self) -> None:
        last = member("last", allowance=Allowance(requests_per_day=1))
        turn = Turn([member("near"), last])
        turn.begin(0.0)
        last.pays(0.0, 0.0)
        assert turn.failed(0, Fault.REFUSED, 0.1) == [Exhausted(Fault.OVER_BUDGET)]

    def test_a_clock_that_is_a_little_behind_turns_no_page_back(self) -> None:
        budget = Budget(Allowance(requests_per_minute=1, requests_per_day=5))
        assert budget.take(86_400.0, 0.0)
        assert not budget.take(86_399.9, 0.0)
        assert not budget.take(86_459.9, 0.0)
        assert budget.take(86_460.0, 0.0)

    def test_a_page_of_the_far_future_is_torn_out(self) -> None:
        budget = Budget(Allowance(requests_per_day=1))
        assert budget.take(9e9, 0.0)
        assert budget.take(1.8e9, 0.0)

    def test_without_a_limit_nothing_is_counted(self) -> None:
        budget = Budget()
        assert budget.take(0.0, 1e9)
        budget.spend(0.0, 1e9)
        budget.allowance = Allowance(units_per_day=1)
        assert budget.allows(0.0, 1.0)


def test_new_settings_keep_what_is_known_of_a_provider() -> None:
    found = opened("a")
    found.follow(MemberSettings(name="a", allowance=Allowance(requests_per_day=1)))
    assert found.breaker.state(1.0) is Circuit.OPEN
    assert found.budget.allowance.requests_per_day == 1


def test_what_is_over_has_no_time() -> None:
    attempt = Attempt(LIMITS, 0.0)
    attempt.on(AttemptEvent.CANCEL, 0.0)
    assert attempt.due is None
    assert attempt.overdue(99.0) is None


def test_a_turn_knows_who_was_asked() -> None:
    found = member("a")
    turn = Turn([found])
    turn.begin(0.0)
    assert turn.member(0) is found


class TestStalls:
    """An answer that stops in its middle, where hedging is wanted: gaps of 20 ms are usual."""

    def usual(self, name: str = "a", **settings: object) -> Member:
        found = member(name, hedge_percentile=95, **settings)
        for _ in range(20):
            found.first(0.1)
            found.next_piece(0.02)
        return found

    def stalled(self, *more: Member) -> Turn:
        """The first piece came at 0.1, and nothing since."""
        turn = Turn([self.usual(), *more])
        turn.begin(0.0)
        turn.piece(0, 0.1)
        return turn

    def test_the_next_one_is_asked_after_several_times_the_usual_gap(self) -> None:
        second = member("b")
        turn = self.stalled(second)
        assert turn.due == pytest.approx(0.25)
        assert turn.time_passed(0.24) == []
        assert turn.time_passed(0.25) == [Start(1, second)]
        assert turn.due == pytest.approx(0.75)  # it must have connected by then

    def test_it_waits_while_what_has_come_lasts(self) -> None:
        second = self.usual("b")  # answers 0.1 s after it is asked
        turn = self.stalled(second)
        assert turn.time_passed(0.25, ahead_s=0.3) == []
        assert turn.due == pytest.approx(0.45)
        assert turn.time_passed(0.45, ahead_s=0.1) == [Start(1, second)]

    def test_of_who_is_not_known_time_enough_is_left(self) -> None:
        turn = self.stalled(member("b"))
        assert turn.time_passed(0.25, ahead_s=0.5) == []
        assert turn.due == pytest.approx(0.45)

    def test_a_little_time_is_not_counted_in_steps_of_nothing(self) -> None:
        turn = self.stalled(self.usual("b"))
        assert turn.time_passed(0.25, ahead_s=0.1001) == []
        assert turn.due == pytest.approx(0.27)

    def test_whoever_has_a_piece_first_goes_on(self) -> None:
        second = member("b")
        turn = self.stalled(second)
        turn.time_passed(0.25)
        assert turn.piece(1, 0.35) == [Cancel(0), Deliver(1, anew=True)]
        assert turn.failures == [Failure("a", Fault.STALLED)]
        assert turn.piece(0, 0.36) == []  # too late
        assert turn.ended(1, 0.5) == [Finished(1)]

    def test_who_comes_back_in_time_goes_on(self) -> None:
        second = member("b")
        turn = self.stalled(second)
        turn.time_passed(0.25)
        assert turn.piece(0, 0.30) == [Cancel(1), Deliver(0, anew=False)]
        assert (second.running, turn.failures) == (0, [])
        assert turn.time_passed(0.45) == [Start(2, second)]  # stalls again

    def test_who_ends_in_time_needs_nobody(self) -> None:
        second = member("b")
        turn = self.stalled(second)
        turn.time_passed(0.25)
        assert turn.ended(0, 0.30) == [Cancel(1), Finished(0)]
        assert second.running == 0

    def test_a_trial_that_was_not_needed_is_nobodys_failure(self) -> None:
        second = opened("b", -100.0)
        turn = self.stalled(second)
        turn.time_passed(0.25)
        turn.piece(0, 0.30)
        assert (second.breaker.state(0.3), turn.failures) == (Circuit.HALF_OPEN, [])
        assert second.breaker.ready(0.3)

    def test_a_stand_in_that_fails_is_followed_by_the_next(self) -> None:
        second, third = member("b"), member("c")
        turn = self.stalled(second, third)
        turn.time_passed(0.25)
        assert turn.failed(1, Fault.REFUSED, 0.26) == [Start(2, third)]
        assert turn.failed(2, Fault.REFUSED, 0.27) == []  # it may still come back
        assert turn.piece(0, 0.3) == [Deliver(0, anew=False)]

    def test_the_limit_ends_it_while_the_next_one_is_asked_already(self) -> None:
        second = member("b")
        turn = self.stalled(second)
        turn.time_passed(0.25)
        turn.connected(1, 0.3)
        assert turn.time_passed(1.1) == [Cancel(0)]
        assert turn.piece(1, 1.2) == [Deliver(1, anew=True)]

    def test_of_gaps_that_are_not_known_half_the_limit_is_a_stall(self) -> None:
        turn = Turn([member("a", hedge_percentile=95), member("b")])
        turn.begin(0.0)
        turn.piece(0, 0.1)
        assert turn.due == pytest.approx(0.6)

    def test_without_hedging_the_limit_alone_counts(self) -> None:
        turn = Turn([member("a"), member("b")])
        turn.begin(0.0)
        turn.piece(0, 0.1)
        assert turn.due == pytest.approx(1.1)

    def test_nobody_else_is_there(self) -> None:
        turn = self.stalled()
        assert turn.due == pytest.approx(1.1)
