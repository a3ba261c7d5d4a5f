"""One worker at a time for a key, nothing forgotten, nothing done twice."""

import asyncio

import pytest

from callfleet_operator.ports.errors import (
    ConflictError,
    InvalidError,
    NotLeaderError,
    UnavailableError,
)
from callfleet_operator.reconcile.queue import Backoff, KeyQueue, QueueClosed
from callfleet_operator.reconcile.workers import Workers
from fakes.virtual_time import FakeClock, in_virtual_time


def queue() -> KeyQueue[str]:
    return KeyQueue(FakeClock())


def backoff() -> Backoff:
    return Backoff(lambda: 1.0, first_s=1.0, last_s=8.0)


@in_virtual_time
async def test_keys_come_in_order_and_once() -> None:
    keys = queue()
    for key in ("a", "b", "a"):
        keys.add(key)
    assert len(keys) == 2
    assert [await keys.get(), await keys.get()] == ["a", "b"]


@in_virtual_time
async def test_a_key_that_is_worked_on_waits_for_its_worker() -> None:
    keys = queue()
    keys.add("a")
    assert await keys.get() == "a"
    keys.add("a")
    keys.add("a")
    keys.add("b")
    assert await keys.get() == "b"
    keys.done("a")
    assert await keys.get() == "a"
    keys.done("a")
    keys.done("b")
    assert keys.idle


@in_virtual_time
async def test_a_delayed_key_comes_when_it_is_due_and_the_earliest_time_wins() -> None:
    keys = queue()
    keys.add_after("a", 10)
    keys.add_after("a", 5)
    keys.add_after("a", 7)
    assert await keys.get() == "a"
    assert asyncio.get_running_loop().time() == pytest.approx(5)
    keys.done("a")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(keys.get(), 100)


@in_virtual_time
async def test_a_waiting_worker_is_woken_by_add_and_by_an_earlier_delay() -> None:
    keys = queue()
    keys.add_after("late", 100)
    waiting = asyncio.create_task(keys.get())
    await asyncio.sleep(1)
    keys.add_after("early", 1)
    assert await waiting == "early"
    again = asyncio.create_task(keys.get())
    await asyncio.sleep(1)
    keys.add("now")
    assert await again == "now"


@in_virtual_time
async def test_a_key_that_is_due_within_a_tick_is_due() -> None:
    keys = queue()
    await asyncio.sleep(7.05)
    keys.add_after("a", 1e-15)
    workers = [asyncio.create_task(keys.get()) for _ in range(16)]
    done, waiting = await asyncio.wait(workers, timeout=1)
    assert (len(done), len(waiting)) == (1, 15)
    for worker in waiting:
        worker.cancel()
    await asyncio.wait(waiting)


@in_virtual_time
async def test_a_closed_queue_gives_nothing_and_takes_nothing() -> None:
    keys = queue()
    waiting = asyncio.create_task(keys.get())
    await asyncio.sleep(0)
    keys.close()
    with pytest.raises(QueueClosed):
        await waiting
    keys.add("a")
    keys.add_after("a", 1)
    with pytest.raises(QueueClosed):
        await keys.get()


def test_delays_double_up_to_the_limit_and_are_forgotten() -> None:
    delays = backoff()
    assert [delays.fail("a") for _ in range(5)] == [1, 2, 4, 8, 8]
    assert delays.failures("a") == 5
    assert delays.fail("b") == 1
    delays.forget("a")
    assert delays.fail("a") == 1
    assert Backoff(lambda: 0.0, first_s=1.0).fail("a") == 0.75


async def run_for(workers: Workers[str], seconds: float) -> None:
    task = asyncio.create_task(workers.run())
    await asyncio.sleep(seconds)
    workers.queue.close()
    await asyncio.wait_for(task, 100)


@in_virtual_time
async def test_different_keys_are_worked_on_together_and_one_key_never_twice() -> None:
    keys = queue()
    running: set[str] = set()
    most = 0

    async def work(key: str) -> None:
        nonlocal most
        assert key not in running
        running.add(key)
        most = max(most, len(running))
        await asyncio.sleep(1)
        running.discard(key)
        if key == "a":
            keys.add("a")

    for key in "abcd":
        keys.add(key)
    workers = Workers(keys, work, backoff(), count=3)
    await run_for(workers, 5.5)
    assert most == 3


@pytest.mark.parametrize(
    "error",
    [
        UnavailableError(503, "Busy", "later"),
        InvalidError(422, "Invalid", "bad"),
        ConflictError(409, "Conflict", "newer"),
        TimeoutError(),
        ZeroDivisionError(),
    ],
)
@in_virtual_time
async def test_a_failure_comes_back_with_a_growing_delay_and_hurts_no_other_key(
    error: Exception,
) -> None:
    keys = queue()
    at: list[float] = []
    other: list[str] = []

    async def work(key: str) -> None:
        if key == "good":
            other.append(key)
            return
        at.append(asyncio.get_running_loop().time())
        if len(at) < 4:
            raise error

    keys.add("bad")
    keys.add("good")
    workers = Workers(keys, work, backoff(), count=1)
    await run_for(workers, 30)
    assert at == [pytest.approx(x) for x in (0, 1, 3, 7)]
    assert other == ["good"]
    assert workers.backoff.failures("bad") == 0


@in_virtual_time
async def test_the_servers_wish_to_wait_counts() -> None:
    keys = queue()
    at: list[float] = []

    async def work(key: str) -> None:
        at.append(asyncio.get_running_loop().time())
        if len(at) == 1:
            raise UnavailableError(429, "TooManyRequests", "", retry_after_s=20)

    keys.add("a")
    await run_for(Workers(keys, work, backoff()), 30)
    assert at == [0, pytest.approx(20)]


@in_virtual_time
async def test_the_end_of_leadership_is_no_failure() -> None:
    keys = queue()

    async def work(key: str) -> None:
        raise NotLeaderError

    keys.add("a")
    workers = Workers(keys, work, backoff())
    await run_for(workers, 30)
    assert workers.counters.rounds == 1
    assert workers.counters.failures == 0


@in_virtual_time
async def test_work_that_hangs_is_ended_and_tried_again() -> None:
    keys = queue()
    rounds = 0

    async def work(key: str) -> None:
        nonlocal rounds
        rounds += 1
        if rounds == 1:
            await asyncio.sleep(1e6)

    keys.add("a")
    await run_for(Workers(keys, work, backoff(), time_limit_s=10), 60)
    assert rounds == 2


@in_virtual_time
async def test_work_may_ask_to_be_done_again() -> None:
    keys = queue()
    at: list[float] = []

    async def work(key: str) -> float | None:
        at.append(asyncio.get_running_loop().time())
        return 5.0 if len(at) == 1 else None

    keys.add("a")
    await run_for(Workers(keys, work, backoff()), 60)
    assert at == [0, pytest.approx(5)]


@in_virtual_time
async def test_work_that_is_always_due_leaves_time_for_others() -> None:
    keys = queue()
    rounds = 0

    async def work(key: str) -> float | None:
        nonlocal rounds
        rounds += 1
        return 1e-15

    keys.add("a")
    await run_for(Workers(keys, work, backoff()), 10)
    assert 900 <= rounds <= 1001


@in_virtual_time
async def test_shutdown_finishes_what_was_begun() -> None:
    keys = queue()
    finished: list[str] = []

    async def work(key: str) -> None:
        await asyncio.sleep(3)
        finished.append(key)

    keys.add("a")
    keys.add("b")
    await run_for(Workers(keys, work, backoff(), count=1), 1)
    assert finished == ["a"]
