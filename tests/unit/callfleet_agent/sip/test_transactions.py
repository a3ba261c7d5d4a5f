"""The state machines' tables, and timers."""

import pytest

from callfleet_agent.sip.timers import TimerQueue
from callfleet_agent.sip.transaction_tables import (
    CLIENT,
    INVITE_CLIENT,
    INVITE_SERVER,
    SERVER,
    State,
    Table,
)


@pytest.mark.parametrize(
    ("table", "start"),
    [
        (INVITE_CLIENT, State.CALLING),
        (CLIENT, State.TRYING),
        (INVITE_SERVER, State.PROCEEDING),
        (SERVER, State.TRYING),
    ],
)
def test_every_state_is_reached_and_every_one_ends(table: Table, start: State) -> None:
    reached, grew = {start}, True
    while grew:
        more = {to for (state, _), (to, _) in table.items() if state in reached}
        grew, reached = not more <= reached, reached | more
    assert reached == {state for state, _ in table} | {State.TERMINATED}
    ending, grew = {State.TERMINATED}, True
    while grew:
        more = {state for (state, _), (to, _) in table.items() if to in ending}
        grew, ending = not more <= ending, ending | more
    assert ending == reached


def test_timers_fire_in_order_and_once() -> None:
    queue, fired = TimerQueue(), list[str]()
    queue.start(2.0, lambda: fired.append("b"))

    def start_another() -> None:
        queue.start(1.5, lambda: fired.append("a"))

    first = queue.start(1.0, start_another)
    gone = queue.start(0.5, lambda: fired.append("never"))
    gone.cancel()
    assert queue.next() == 1.0
    queue.fire_due(1.0)
    assert (fired, first.pending) == ([], False)
    queue.fire_due(3.0)
    assert fired == ["a", "b"]
    assert queue.next() is None
    first.fire()
