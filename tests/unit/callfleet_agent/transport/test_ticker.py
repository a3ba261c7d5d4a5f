"""One clock for all calls."""

from __future__ import annotations

import asyncio
import logging
from math import inf

import pytest

from callfleet_agent.transport.ticker import Lateness, Ticker
from fakes.virtual_time import in_virtual_time


def now() -> float:
    return asyncio.get_running_loop().time()


class Stalling:
    """A clock that can be behind: the loop was busy, and its timers fire late."""

    def __init__(self) -> None:
        self.stalled = 0.0

    def __call__(self) -> float:
        return now() + self.stalled


@in_virtual_time
async def test_every_member_ticks_once_in_20_ms_and_nothing_drifts() -> None:
    ticker = Ticker(clock=now)
    times: list[float] = []
    ticker.add(lambda _: times.append(now()))
    ticker.start()
    await asyncio.sleep(100.0)
    await ticker.stop()
    assert len(times) in (4999, 5000)
    assert times[0] == pytest.approx(0.02)
    assert times[-1] == pytest.approx(len(times) * 0.02, abs=1e-6)


@in_virtual_time
async def test_members_are_spread_over_four_groups_5_ms_apart() -> None:
    ticker = Ticker(clock=now)
    times: dict[int, float] = {}
    for number in range(8):
        ticker.add(lambda _, number=number: times.update({number: now()}))  # type: ignore[misc]
    ticker.start()
    await asyncio.sleep(0.036)
    await ticker.stop()
    assert [round(times[number] * 1000, 3) for number in range(8)] == [20, 25, 30, 35] * 2


@in_virtual_time
async def test_a_group_without_members_does_not_wake_the_loop() -> None:
    loop, ticker = asyncio.get_running_loop(), Ticker(clock=now)
    ticker.start()
    await asyncio.sleep(0)
    idle = _timers(loop)
    handle = ticker.add(lambda _: None)
    assert _timers(loop) == idle + 1  # and not one for each group
    await asyncio.sleep(0.1)
    handle.cancel()
    await asyncio.sleep(0.03)
    assert _timers(loop) == idle
    assert ticker.lateness.count == 6  # five ticks, and the one that found nobody
    await ticker.stop()


@in_virtual_time
async def test_who_joins_a_sleeping_group_is_ticked_on_its_grid_and_misses_nothing() -> None:
    ticker, ticks = Ticker(clock=now), []
    ticker.start()
    began = now()
    await asyncio.sleep(1.007)
    handle = ticker.add(lambda skipped: ticks.append((round(now() - began, 6), skipped)))
    await asyncio.sleep(0.04)
    handle.cancel()
    await asyncio.sleep(2.0)
    ticker.add(lambda skipped: ticks.append((round(now() - began, 6), skipped)))
    await asyncio.sleep(0.02)
    await ticker.stop()
    assert ticks == [(1.02, 0), (1.04, 0), (3.06, 0)]
    assert ticker.lateness.worst_ms < 1


def _timers(loop: asyncio.AbstractEventLoop) -> int:
    """How many wait on the loop."""
    return sum(not timer.cancelled() for timer in loop._scheduled)  # type: ignore[attr-defined]


@in_virtual_time
async def test_who_leaves_is_not_ticked_and_makes_room() -> None:
    ticker, ticks = Ticker(clock=now), []
    handles = [ticker.add(lambda _: ticks.append("old")) for _ in range(4)]
    ticker.start()
    handles[2].cancel()
    handles[2].cancel()
    assert ticker.members == 3
    ticker.add(lambda _: ticks.append("new"))
    await asyncio.sleep(0.036)
    await ticker.stop()
    assert ticks == ["old", "old", "new", "old"]


@in_virtual_time
async def test_one_that_leaves_while_its_group_ticks_is_not_ticked() -> None:
    ticker, ticks = Ticker(clock=now, groups=1), []

    def first(_: int) -> None:
        ticks.append("first")
        second.cancel()

    ticker.add(first)
    second = ticker.add(lambda _: ticks.append("second"))
    ticker.start()
    await asyncio.sleep(0.03)
    await ticker.stop()
    assert ticks == ["first"]


@in_virtual_time
async def test_after_a_stall_there_is_one_tick_that_says_how_many_were_skipped() -> None:
    clock = Stalling()
    ticker = Ticker(clock=clock, groups=1)
    skipped: list[int] = []
    ticker.add(skipped.append)
    ticker.start()
    await asyncio.sleep(0.05)
    clock.stalled = 0.1
    await asyncio.sleep(0.1)
    await ticker.stop()
    assert skipped[:2] == [0, 0]
    assert skipped[2] == 5
    assert set(skipped[3:]) == {0}
    assert ticker.lateness.skipped == 5
    assert ticker.lateness.worst_ms == pytest.approx(100)


@in_virtual_time
async def test_a_call_that_fails_does_not_stop_the_others(caplog: pytest.LogCaptureFixture) -> None:
    ticker = Ticker(clock=now, groups=1)
    ticks: list[int] = []

    def fail(_: int) -> None:
        raise RuntimeError("card 4271 of the caller")

    ticker.add(fail)
    ticker.add(ticks.append)
    ticker.start()
    with caplog.at_level(logging.ERROR):
        await asyncio.sleep(0.05)
    await ticker.stop()
    assert ticks == [0, 0]
    assert "a call's tick failed" in caplog.text
    assert "4271" not in caplog.text
    assert caplog.records[0].__dict__["error"] == "RuntimeError"


@in_virtual_time
async def test_a_member_may_stop_the_ticker() -> None:
    ticker, ticks = Ticker(clock=now, groups=1), []

    def stop(_: int) -> None:
        ticks.append(now())
        stopping.append(asyncio.ensure_future(ticker.stop()))

    stopping: list[asyncio.Future[None]] = []
    ticker.add(stop)
    ticker.start()
    await asyncio.sleep(1)
    assert len(ticks) == 1
    assert stopping[0].done()


@in_virtual_time
async def test_it_starts_once_and_can_start_again() -> None:
    ticker = Ticker(clock=now)
    ticks: list[int] = []
    ticker.add(ticks.append)
    ticker.start()
    with pytest.raises(RuntimeError):
        ticker.start()
    await ticker.stop()
    await asyncio.sleep(1)
    assert ticks == []
    ticker.start()
    await asyncio.sleep(0.021)
    assert ticks == [0]
    await ticker.stop()


def test_lateness_is_counted_in_buckets() -> None:
    lateness = Lateness(bounds_ms=(1, 5, inf))
    assert lateness.quantile_ms(0.99) == 0.0
    for late in (0.2, 0.4, 1.0, 3.0):
        lateness.add(late)
    assert lateness.counts == [3, 1, 0]
    assert (lateness.count, lateness.worst_ms) == (4, 3.0)
    assert lateness.total_ms == pytest.approx(4.6)
    assert lateness.quantile_ms(0.5) == 1
    assert lateness.quantile_ms(0.99) == 3.0
