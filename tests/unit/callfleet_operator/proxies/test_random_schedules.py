"""Whatever fails in whatever order: no call goes astray, and in the end all is as it should be."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from fakes.dispatcher_ends import DispatcherEnds
from fakes.dispatcher_world import DispatcherWorld
from fakes.virtual_time import run_in_virtual_time

# `CALLFLEET_SCHEDULES=100000 pytest …` draws more of them than each run of the tests has time for.
SCHEDULES = max(2000, int(os.environ.get("CALLFLEET_SCHEDULES", "0")))
EACH = 100  # schedules of one test
THINGS = 14


@contextmanager
def untraced() -> Iterator[None]:
    """Coverage is not measured meanwhile: that would take three times as long."""
    trace = sys.gettrace()
    sys.settrace(None)
    try:
        yield
    finally:
        sys.settrace(trace)


async def lived(seed: int) -> DispatcherWorld:
    world = DispatcherWorld(seed)
    try:
        world.populate()
        for _ in range(3):
            await world.operate(faults=False)
            world.pass_time(1.5)
        for _ in range(THINGS):
            world.happen()
            await world.operate(faults=True)
            world.pass_time(world.rng.choice([0.1, 0.7, 3.0]))
            if world.trouble:
                return world
        await DispatcherEnds(world).play()
    finally:
        await world.close()
    return world


async def complaints(seeds: range) -> Iterator[tuple[int, list[str]]]:
    lives = [(seed, await lived(seed)) for seed in seeds]
    return ((seed, world.trouble[:3]) for seed, world in lives)


@pytest.mark.parametrize("first", range(0, SCHEDULES, EACH))
def test_no_schedule_of_faults_sends_a_call_astray(first: int) -> None:
    async def all_of_them() -> None:
        seeds = range(first, min(first + EACH, SCHEDULES))
        assert {seed: found for seed, found in await complaints(seeds) if found} == {}

    with untraced():
        run_in_virtual_time(all_of_them())
