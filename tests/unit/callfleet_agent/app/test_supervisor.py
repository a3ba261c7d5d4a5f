"""Workers are kept alive, one more than wanted, and calls are given to them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from callfleet_agent.app.errors import WorkerDiedError
from callfleet_agent.app.supervisor import Supervisor
from callfleet_agent.session import WorkerState
from fakes.virtual_time import in_virtual_time


class FakeProcess:
    """A worker process that does what a test says."""

    def __init__(self, number: int, *, stillborn: bool = False, broken: bool = False) -> None:
        self.pid = 1000 + number
        self.socket = Path(f"/nowhere/{number}")
        self.killed = False
        self.step = "the engines are started"
        self.worked = 0
        self.will_be_ready: asyncio.Event | None = None
        self._stillborn = stillborn
        self._broken = broken
        self._ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def ready(self) -> None:
        if self._stillborn:
            raise WorkerDiedError("no models")
        if self._broken:
            raise ValueError("a line without end")
        if self.will_be_ready is not None:
            await self.will_be_ready.wait()

    def work(self) -> int | None:
        return self.worked

    async def wait(self) -> int:
        return await asyncio.shield(self._ended)

    def die(self, status: int = -9) -> None:
        if not self._ended.done():
            self._ended.set_result(status)

    def kill(self) -> None:
        self.killed = True
        self.die()

    async def stop(self) -> None:
        self.die(0)


class Site:
    """A supervisor with its processes and the delays that it asked for."""

    def __init__(
        self,
        wanted: int,
        stillborn: frozenset[int] = frozenset(),
        broken: frozenset[int] = frozenset(),
    ) -> None:
        self.processes: dict[int, FakeProcess] = {}
        self.delays: list[float] = []
        self.lost = 0
        self.states: dict[WorkerState, int] = {}
        self._stillborn = stillborn
        self._broken = broken
        self.supervisor = Supervisor(
            self._start,
            wanted,
            on_lost=self._count,
            on_change=self._note,
            sleep=self._sleep,
        )

    async def _start(self, number: int) -> FakeProcess:
        process = FakeProcess(
            number, stillborn=number in self._stillborn, broken=number in self._broken
        )
        self.processes[number] = process
        return process

    def _count(self) -> None:
        self.lost += 1

    def _note(self, states: dict[WorkerState, int]) -> None:
        self.states = dict(states)

    async def _sleep(self, delay_s: float) -> None:
        self.delays.append(delay_s)
        await asyncio.sleep(0)


@asynccontextmanager
async def site(
    wanted: int,
    stillborn: frozenset[int] = frozenset(),
    broken: frozenset[int] = frozenset(),
) -> AsyncIterator[Site]:
    place = Site(wanted, stillborn, broken)
    running = asyncio.ensure_future(place.supervisor.run())
    try:
        await place.supervisor.until_ready(wanted + 1)
        yield place
    finally:
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running


async def test_one_more_is_started_than_wanted() -> None:
    async with site(2) as place:
        assert place.supervisor.pids == {1: 1001, 2: 1002, 3: 1003}
        assert place.states == {WorkerState.READY: 3}


async def test_calls_go_to_the_wanted_workers_and_are_given_back() -> None:
    async with site(1) as place:
        first, second = place.supervisor.take(), place.supervisor.take()
        assert first is second
        assert first is not None
        assert (first.number, first.calls) == (1, 2)
        place.supervisor.give_back(first)
        assert first.calls == 1


async def test_a_dead_worker_is_replaced_and_the_spare_steps_in() -> None:
    async with site(1) as place:
        place.processes[1].die()
        await place.supervisor.until_ready(2)
        while 3 not in place.supervisor.pids:  # noqa: ASYNC110
            await asyncio.sleep(0)
        worker = place.supervisor.take()
        assert worker is not None
        assert worker.number == 2
        assert place.lost == 1
        assert place.delays == [0.0]


async def test_a_worker_that_never_gets_ready_is_tried_again_later_and_later() -> None:
    async with site(1, stillborn=frozenset({2, 3, 4})) as place:
        assert place.supervisor.pids == {1: 1001, 5: 1005}
        assert place.delays == [0.0, 0.25, 0.5]
        assert place.lost == 0
        assert place.supervisor.last_error is None


async def test_an_unforeseen_failure_of_one_worker_ends_no_other() -> None:
    async with site(1, broken=frozenset({2, 3})) as place:
        assert place.supervisor.pids == {1: 1001, 4: 1004}
        assert place.supervisor.last_error is None
        assert not place.processes[1].killed


async def test_a_call_is_kept_from_who_did_not_take_it() -> None:
    async with site(1) as place:
        first = await place.supervisor.taken(60.0, frozenset({1}))
        assert first is not None
        assert first.number == 2
        assert await place.supervisor.taken(0.0, frozenset({1})) is None


async def test_a_worker_that_hangs_is_ended() -> None:
    async with site(1) as place:
        worker = place.supervisor.take()
        assert worker is not None
        place.supervisor.condemn(worker)
        place.supervisor.condemn(worker)
        assert place.processes[1].killed
        assert place.supervisor.ready_workers == 1
        await place.supervisor.until_ready(2)
        assert place.supervisor.pids == {2: 1002, 3: 1003}


async def test_a_call_waits_for_a_worker() -> None:
    place = Site(1)
    assert place.supervisor.take() is None
    assert await place.supervisor.taken(0.0) is None
    waiting = asyncio.ensure_future(place.supervisor.taken(60.0))
    running = asyncio.ensure_future(place.supervisor.run())
    worker = await waiting
    assert worker is not None
    assert worker.calls == 1
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


class TestSlowStarts:
    """Time is virtual; a look comes every minute."""

    def slow(self, wanted: int = 0) -> tuple[Site, asyncio.Task[None]]:
        place = Site(wanted)
        begin = place._start

        async def start(number: int) -> FakeProcess:
            process = await begin(number)
            process.will_be_ready = asyncio.Event()
            return process

        place.supervisor._start = start
        return place, asyncio.create_task(place.supervisor.run())

    async def ended(self, running: asyncio.Task[None]) -> None:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    @in_virtual_time
    async def test_one_that_is_at_work_is_waited_for(self) -> None:
        place, running = self.slow()
        for _ in range(8):
            await asyncio.sleep(60)
            process = place.processes[1]
            process.worked += 15
        assert not process.killed
        assert process.will_be_ready is not None
        process.will_be_ready.set()
        await place.supervisor.until_ready(1)
        assert list(place.processes) == [1]
        await self.ended(running)

    @in_virtual_time
    async def test_one_that_does_nothing_is_ended_and_the_step_is_named(self) -> None:
        place, running = self.slow()
        await asyncio.sleep(61)
        assert place.processes[1].killed
        assert place.supervisor.last_error == "not ready after 60 s: the engines are started"
        assert 2 in place.processes
        await self.ended(running)

    @in_virtual_time
    async def test_one_that_comes_to_no_end_is_ended_all_the_same(self) -> None:
        place, running = self.slow()
        for _ in range(11):
            await asyncio.sleep(60)
            place.processes[1].worked += 6000
        assert place.processes[1].killed
        assert place.supervisor.last_error == "not ready after 600 s: the engines are started"
        await self.ended(running)

    @in_virtual_time
    async def test_a_start_that_took_long_was_no_steady_run(self) -> None:
        place, running = self.slow()
        await asyncio.sleep(250)
        assert place.delays == [0.0, 0.25, 0.5, 1.0]
        await self.ended(running)
