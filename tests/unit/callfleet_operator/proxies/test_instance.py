"""One instance: looks, one reload of each kind at most, states, and drains that settle."""

from collections.abc import Callable

from callfleet_operator.ports.proxy import SeenState
from callfleet_operator.proxies.errors import RpcError
from callfleet_operator.proxies.instance import Instance, Target, each
from callfleet_operator.proxies.kamailio import Kamailio
from callfleet_operator.proxies.rows import Held, Key, MemoryRow, WantedMemory
from callfleet_operator.proxies.states import Ours

KEY: Key = (1000, "sip:10.0.0.1:5060")
OTHER: Key = (1000, "sip:10.0.0.2:5060")
OURS = Ours({1000})


class FakeClock:
    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now

    def wall(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds


class FakeCommands:
    """A proxy's memory; `table` is what a reload brings. `broken` commands raise."""

    def __init__(self, table: dict[Key, MemoryRow] | None = None) -> None:
        self.table = table or {}
        self.rows: dict[Key, MemoryRow] = {}
        self.numbers = 0
        self.table_numbers = 0
        self.broken: set[str] = set()
        self.lost: set[str] = set()  # done, and the answer does not come
        self.done: list[str] = []

    def _do(self, what: str, action: Callable[[], None] = lambda: None) -> None:
        if what in self.broken:
            raise RpcError(f"{what}: away")
        self.done.append(what)
        action()
        if what in self.lost:
            raise RpcError(f"{what}: no answer")

    async def memory(self) -> dict[Key, MemoryRow]:
        self._do("memory")
        return dict(self.rows)

    async def revision(self) -> int:
        self._do("revision")
        return self.numbers

    async def reload_destinations(self) -> None:
        self._do("reload", lambda: self.rows.update(self.table))

    async def reload_numbers(self) -> None:
        def load() -> None:
            self.numbers = self.table_numbers

        self._do("numbers", load)

    async def set_state(self, key: Key, held: Held) -> None:
        def change() -> None:
            self.rows[key] = MemoryRow(held, self.rows[key].mark)

        self._do(f"set {held}", change)


def made(commands: FakeCommands, clock: FakeClock) -> Instance:
    return Instance("http://proxy", commands, Kamailio(), 1.0, clock)


def target(takes_calls: bool = True, revision: int = 0, **more: bool) -> Target:
    wanted = {KEY: WantedMemory(takes_calls, "m")}
    return Target(wanted, OURS, revision)


async def test_what_is_right_is_left_alone() -> None:
    commands = FakeCommands()
    commands.rows = {KEY: MemoryRow(Held.ACTIVE, "m")}
    instance = made(commands, FakeClock())

    await instance.look()
    await instance.make(target())

    assert commands.done == ["memory", "revision"]
    assert instance.right(target())
    assert instance.seen(KEY) is SeenState.ACTIVE


async def test_what_holds_something_else_is_not_right() -> None:
    commands = FakeCommands()
    instance = made(commands, FakeClock())
    for rows, wanted in (
        ({KEY: MemoryRow(Held.ACTIVE, "m")}, target(revision=1)),  # other numbers
        ({}, target()),
        ({KEY: MemoryRow(Held.ACTIVE, "of another pod")}, target()),
        ({KEY: MemoryRow(Held.DRAINED, "m")}, target()),
    ):
        commands.rows = dict(rows)
        await instance.look()
        assert not instance.right(wanted)


async def test_rows_and_numbers_are_reloaded_once_and_looked_at() -> None:
    commands = FakeCommands({KEY: MemoryRow(Held.WAITING, "m")})
    commands.table_numbers = 3
    instance = made(commands, FakeClock())

    await instance.look()
    await instance.make(target(revision=3))

    assert commands.done == ["memory", "revision", "reload", "memory", "numbers", "revision"]
    assert instance.right(target(revision=3))
    assert instance.seen(KEY) is SeenState.PROBING


async def test_a_drain_counts_when_it_was_seen_for_long_enough() -> None:
    commands, clock = FakeCommands(), FakeClock()
    commands.rows = {KEY: MemoryRow(Held.ACTIVE, "m")}
    instance = made(commands, clock)
    await instance.look()
    await instance.make(target(takes_calls=False))

    assert instance.right(target(takes_calls=False))
    assert instance.seen(KEY) is SeenState.PROBING
    assert instance.look_again_s() == 1.0
    clock.now += 1.0
    assert instance.seen(KEY) is SeenState.INACTIVE
    assert instance.look_again_s() is None

    commands.rows = {KEY: MemoryRow(Held.ACTIVE, "m")}  # a late answer to a probe
    await instance.look()
    assert instance.seen(KEY) is SeenState.ACTIVE
    assert not instance.right(target(takes_calls=False))
    await instance.make(target(takes_calls=False))
    assert instance.seen(KEY) is SeenState.PROBING


async def test_a_look_that_fails_does_not_forget_since_when_a_row_is_drained() -> None:
    commands, clock = FakeCommands(), FakeClock()
    commands.rows = {KEY: MemoryRow(Held.DRAINED, "m")}
    instance = made(commands, clock)
    await instance.look()
    clock.now += 1.0

    commands.broken = {"memory"}
    await instance.look()
    assert instance.seen(KEY) is SeenState.UNKNOWN
    assert instance.view.error == "memory: away"
    await instance.make(target(takes_calls=False))
    assert not instance.right(target(takes_calls=False))

    commands.broken = set()
    await instance.look()
    assert instance.seen(KEY) is SeenState.INACTIVE


async def test_a_drain_is_set_even_when_reloads_fail() -> None:
    commands, clock = FakeCommands(), FakeClock()
    commands.rows = {KEY: MemoryRow(Held.ACTIVE, "m")}
    commands.broken = {"reload", "numbers"}
    instance = made(commands, clock)
    wanted = {KEY: WantedMemory(False, "m"), OTHER: WantedMemory(True, "m")}
    await instance.look()

    await instance.make(Target(wanted, OURS, 1))

    clock.now += 1.0
    assert instance.seen(KEY) is SeenState.INACTIVE
    assert instance.seen(OTHER) is SeenState.UNKNOWN  # absent now, but a reload may bring it
    assert instance.view.error == "reload: away"
    assert not instance.right(Target(wanted, OURS, 1))


async def test_a_reload_whose_answer_is_lost_is_looked_after() -> None:
    """A new pod at an old address must not take over what the address had."""
    commands = FakeCommands({KEY: MemoryRow(Held.ACTIVE, "m")})
    commands.rows = {KEY: MemoryRow(Held.ACTIVE, "pod=p1")}
    commands.table = {KEY: MemoryRow(Held.ACTIVE, "pod=p2")}
    commands.lost = {"reload"}
    instance = made(commands, FakeClock())
    await instance.look()

    await instance.make(Target({KEY: WantedMemory(True, "pod=p2")}, OURS, 0))

    assert commands.rows[KEY].held is Held.WAITING
    assert instance.view.error == "reload: no answer"


async def test_numbers_that_cannot_be_reloaded_are_an_error_of_their_own() -> None:
    commands = FakeCommands()
    commands.rows = {KEY: MemoryRow(Held.ACTIVE, "m")}
    commands.broken = {"numbers"}
    instance = made(commands, FakeClock())
    await instance.look()

    await instance.make(target(revision=1))

    assert instance.view.error == "numbers: away"


async def test_a_state_that_cannot_be_set_leaves_nothing_known() -> None:
    commands = FakeCommands()
    commands.rows = {KEY: MemoryRow(Held.ACTIVE, "m")}
    commands.broken = {"set drained"}
    instance = made(commands, FakeClock())
    await instance.look()

    await instance.make(target(takes_calls=False))

    assert instance.seen(KEY) is SeenState.UNKNOWN


async def test_two_reloads_keep_their_distance() -> None:
    commands, clock = FakeCommands({KEY: MemoryRow(Held.WAITING, "m")}), FakeClock()
    instance = made(commands, clock)
    await instance.look()
    await instance.make(target())
    started = clock.now

    commands.rows, commands.table = {}, {}
    await instance.look()
    await instance.make(target())

    assert clock.now - started == Kamailio().reload_gap_s


async def test_an_absent_row_is_absent() -> None:
    instance = made(FakeCommands(), FakeClock())
    await each([instance])
    assert instance.seen(KEY) is SeenState.ABSENT

    await each([instance], Target({}, OURS, 0))
    assert instance.right(Target({}, OURS, 0))
