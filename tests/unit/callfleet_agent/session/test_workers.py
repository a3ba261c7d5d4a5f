"""Calls are spread over the workers, and one stays warm for when another dies."""

from callfleet_agent.session import Backoff, WorkerState, WorkerView, choose_worker


def worker(number: int, calls: int = 0, state: WorkerState = WorkerState.READY) -> WorkerView:
    return WorkerView(number, state, calls)


def test_the_spare_gets_no_call_while_the_others_are_up() -> None:
    assert choose_worker([worker(1, 9), worker(2)], wanted=1) == 1


def test_calls_are_spread() -> None:
    assert choose_worker([worker(1), worker(2), worker(3)], wanted=2) == 1
    assert choose_worker([worker(1, 1), worker(2), worker(3)], wanted=2) == 2
    assert choose_worker([worker(1, 2), worker(2, 1), worker(3)], wanted=2) == 2


def test_the_spare_steps_in() -> None:
    dead, starting = WorkerState.DEAD, WorkerState.STARTING
    assert choose_worker([worker(1, 5, dead), worker(2)], wanted=1) == 2
    assert choose_worker([worker(1, 5, starting), worker(2)], wanted=1) == 2


def test_who_did_not_take_the_call_is_asked_last() -> None:
    both = [worker(1, 5), worker(2)]
    assert choose_worker(both, wanted=1, avoid=frozenset({1})) == 2
    assert choose_worker(both, wanted=1, avoid=frozenset({1, 2})) == 1
    assert choose_worker([worker(1, 5)], wanted=1, avoid=frozenset({1})) == 1


def test_nobody_is_there() -> None:
    assert choose_worker([worker(1, 0, WorkerState.STARTING)], wanted=1) is None
    assert choose_worker([], wanted=1) is None


def test_the_first_death_is_free_and_then_it_doubles() -> None:
    backoff, delays = Backoff(), []
    for _ in range(9):
        backoff = backoff.after_death(lived_s=1.0)
        delays.append(backoff.delay_s)
    assert delays == [0.0, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 15.0]
    assert Backoff(deaths=10_000).delay_s == 15.0


def test_a_worker_that_ran_steadily_is_forgiven() -> None:
    assert Backoff(deaths=8).after_death(lived_s=60.0).delay_s == 0.0
