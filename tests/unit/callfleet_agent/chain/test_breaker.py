"""The circuit breaker: its three states."""

from callfleet_agent.chain import Circuit, CircuitBreaker


def failed(times: int) -> CircuitBreaker:
    breaker = CircuitBreaker()
    for _ in range(times):
        breaker.failed(0.0)
    return breaker


def test_four_failures_leave_it_closed() -> None:
    breaker = failed(4)
    assert breaker.state(1.0) is Circuit.CLOSED
    assert breaker.admits(1.0)


def test_five_in_a_row_open_it_for_thirty_seconds() -> None:
    breaker = failed(5)
    assert breaker.state(29.9) is Circuit.OPEN
    assert not breaker.admits(29.9)
    assert breaker.state(30.0) is Circuit.HALF_OPEN


def test_a_success_between_begins_the_count_anew() -> None:
    breaker = failed(4)
    breaker.succeeded()
    breaker.failed(1.0)
    assert breaker.state(1.0) is Circuit.CLOSED


def test_half_open_lets_one_trial_by() -> None:
    breaker = failed(5)
    assert [breaker.admits(31.0), breaker.admits(31.0)] == [True, False]


def test_the_trials_success_closes_and_its_failure_opens_again() -> None:
    breaker = failed(5)
    assert breaker.admits(31.0)
    breaker.failed(32.0)
    assert breaker.state(61.9) is Circuit.OPEN
    assert breaker.admits(62.0)
    breaker.succeeded()
    assert breaker.state(62.0) is Circuit.CLOSED


def test_an_abandoned_trial_makes_room_for_another() -> None:
    breaker = failed(5)
    assert breaker.admits(31.0)
    breaker.abandoned()
    assert breaker.admits(31.0)
