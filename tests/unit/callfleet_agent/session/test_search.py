"""A call is offered to workers until one takes it, and is given up only for a reason."""

from callfleet_agent.session import Search


def test_a_worker_that_does_not_take_the_call_is_avoided_and_nothing_is_held_against_the_call() -> (
    None
):
    search = Search(since=100.0)
    for worker in range(1, 30):
        search = search.on_refused(worker)
    assert search.avoid == frozenset(range(1, 30))
    assert search.left_s(now=110.0) == 20.0


def test_when_all_were_asked_a_new_round_begins() -> None:
    search = Search(since=0.0).on_refused(1).on_refused(2).on_refused(1)
    assert search.avoid == frozenset({1})


def test_the_next_one_is_asked_at_once_and_then_more_and_more_slowly() -> None:
    search, pauses = Search(since=0.0), []
    for _ in range(7):
        pauses.append(search.pause_s)
        search = search.on_refused(1)
    assert pauses == [0.05, 0.1, 0.2, 0.4, 0.8, 1.0, 1.0]


def test_after_thirty_seconds_without_a_worker_it_is_hopeless() -> None:
    search = Search(since=100.0).on_refused(1)
    assert search.left_s(now=129.5) == 0.5
    assert search.left_s(now=130.0) == 0.0
    assert search.left_s(now=500.0) == 0.0


def test_a_lost_worker_begins_the_search_anew_and_is_avoided() -> None:
    search = Search(since=100.0).on_refused(1).on_refused(2).on_death(3, at=200.0)
    assert (search.avoid, search.pause_s) == (frozenset({3}), 0.05)
    assert search.left_s(now=205.0) == 25.0


def test_a_call_that_kills_one_worker_after_another_is_given_up() -> None:
    search = Search(since=0.0)
    for worker in range(1, 9):
        search = search.on_death(worker, at=1.0).on_turn()  # opening words prove nothing
    assert search.left_s(now=1.0) == 30.0
    assert search.on_death(9, at=1.0).left_s(now=1.0) == 0.0


def test_a_finished_turn_takes_the_blame_from_the_call() -> None:
    search = Search(since=0.0)
    for worker in range(1, 9):
        search = search.on_death(worker, at=1.0)
    search = search.on_turn().on_turn()
    assert search.on_death(9, at=1.0).left_s(now=1.0) == 30.0
