"""When an instance is reloaded, which states are set after it, and what is confirmed."""

import pytest

from callfleet_operator.ports.proxy import SeenState
from callfleet_operator.proxies import states
from callfleet_operator.proxies.rows import Held, Key, MemoryRow, WantedMemory, pod_mark, pod_of

KEY: Key = (1000, "sip:10.0.0.1:5060")
FOREIGN: Key = (7, "sip:10.0.0.9:5060")
ACTIVE, WAITING, DRAINED = Held.ACTIVE, Held.WAITING, Held.DRAINED
SETS = states.Ours({1000, 1001})


def row(held: Held, pod: str = "p1") -> MemoryRow:
    return MemoryRow(held, pod_mark(pod))


def wants(takes_calls: bool = True, pod: str = "p1") -> dict[Key, WantedMemory]:
    return {KEY: WantedMemory(takes_calls, pod_mark(pod))}


def test_the_pod_is_read_from_a_mark() -> None:
    assert pod_of("rweight=3;pod=abc") == "abc"
    assert pod_of("weight=3;") == ""


def test_a_reload_is_needed_for_rows_and_marks_and_not_for_states() -> None:
    assert not states.needs_reload(wants(), {KEY: row(DRAINED)}, SETS)
    assert not states.needs_reload(wants(), {KEY: row(ACTIVE), FOREIGN: row(ACTIVE)}, SETS)
    assert states.needs_reload(wants(), {}, SETS)
    assert states.needs_reload({}, {KEY: row(ACTIVE)}, SETS)
    assert states.needs_reload(wants(pod="p2"), {KEY: row(ACTIVE)}, SETS)


def test_a_foreign_row_in_a_set_of_ours_is_loaded_or_not_and_nothing_is_wrong() -> None:
    beside = (1000, "sip:192.0.2.1:5060")
    memory = {KEY: row(ACTIVE), beside: MemoryRow(ACTIVE, "")}
    ours = states.Ours({1000}, {beside})

    assert not states.needs_reload(wants(), memory, ours)
    assert not states.needs_reload(wants(), {KEY: row(ACTIVE)}, ours)
    assert not states.wrong(wants(), memory, ours)
    # Gone from the table, and the proxy still sends it calls.
    assert states.needs_reload(wants(), memory, states.Ours({1000}))


def test_a_foreign_row_in_a_set_of_ours_is_not_put_back_into_service() -> None:
    beside = (1000, "sip:192.0.2.1:5060")
    before = {KEY: row(ACTIVE), beside: MemoryRow(DRAINED, "")}
    after = {KEY: row(ACTIVE), beside: MemoryRow(ACTIVE, "")}

    found = states.commands(wants(), before, after, states.Ours({1000}, {beside}))

    assert found == [(beside, DRAINED)]


@pytest.mark.parametrize(
    ("wanted", "before", "after", "command"),
    [
        (wants(), None, row(WAITING), None),
        (wants(), None, row(ACTIVE), None),
        (wants(), row(ACTIVE), row(ACTIVE), None),
        (wants(), row(ACTIVE), row(WAITING), ACTIVE),
        (wants(), row(WAITING), row(ACTIVE), WAITING),
        (wants(), row(DRAINED), row(WAITING), None),
        (wants(), row(DRAINED), row(DRAINED), WAITING),
        (wants(), row(DRAINED), row(ACTIVE), WAITING),
        (wants(), None, row(DRAINED), WAITING),
        (wants(pod="p2"), row(ACTIVE), row(ACTIVE, "p2"), WAITING),
        (wants(pod="p2"), row(ACTIVE), row(WAITING, "p2"), None),
        (wants(takes_calls=False), row(ACTIVE), row(ACTIVE), DRAINED),
        (wants(takes_calls=False), None, row(WAITING), DRAINED),
        (wants(takes_calls=False), row(DRAINED), row(DRAINED), None),
        ({}, row(ACTIVE), row(ACTIVE), None),
    ],
)
def test_states_to_set(
    wanted: dict[Key, WantedMemory],
    before: MemoryRow | None,
    after: MemoryRow,
    command: Held | None,
) -> None:
    memory = {} if before is None else {KEY: before}

    found = states.commands(wanted, memory, {KEY: after}, SETS)

    assert found == ([] if command is None else [(KEY, command)])


@pytest.mark.parametrize(
    ("before", "after", "command"),
    [
        (None, ACTIVE, None),
        (ACTIVE, ACTIVE, None),
        (DRAINED, ACTIVE, DRAINED),
        (WAITING, ACTIVE, WAITING),
        (ACTIVE, DRAINED, None),
    ],
)
def test_a_foreign_row_is_only_ever_taken_out_again(
    before: Held | None, after: Held, command: Held | None
) -> None:
    memory = {} if before is None else {FOREIGN: row(before)}

    found = states.commands({}, memory, {FOREIGN: row(after)}, SETS)

    assert found == ([] if command is None else [(FOREIGN, command)])


def test_drains_come_first() -> None:
    other = (1000, "sip:10.0.0.0:5060")
    wanted = {other: WantedMemory(True, "pod=p1"), KEY: WantedMemory(False, "pod=p1")}
    memory = {other: row(DRAINED), KEY: row(ACTIVE)}

    assert states.commands(wanted, memory, memory, SETS) == [(KEY, DRAINED), (other, WAITING)]


def test_waiting_for_a_probe_is_not_wrong() -> None:
    assert not states.wrong(wants(), {KEY: row(WAITING)}, SETS)
    assert states.wrong(wants(), {KEY: row(DRAINED)}, SETS)
    assert states.wrong(wants(takes_calls=False), {KEY: row(ACTIVE)}, SETS)
    assert states.wrong(wants(), {}, SETS)


@pytest.mark.parametrize(
    ("seen", "together"),
    [
        ("", "unknown"),
        ("active", "active"),
        ("active active", "active"),
        ("active unknown", "unknown"),
        ("active probing", "probing"),
        ("active inactive", "probing"),
        ("active absent", "probing"),
        ("probing absent", "probing"),
        ("inactive absent", "inactive"),
        ("absent absent", "absent"),
    ],
)
def test_what_instances_say_together(seen: str, together: str) -> None:
    assert states.combined(SeenState(word) for word in seen.split()) is SeenState(together)
