"""A time limit ends in TimeoutError, and a cancellation stays one."""

import asyncio
import sys

import pytest

from callfleet_agent.time_limit import at_most, is_cancelled, until


class KindOfCancelledError(asyncio.CancelledError):
    """As wait_for2 raises it when a result and a cancellation come at once."""


async def cancelled_in_its_own_way() -> None:
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        raise KindOfCancelledError from None


async def test_whatever_kind_of_cancellation_comes_out_it_is_a_time_out() -> None:
    for work in (asyncio.Event().wait, cancelled_in_its_own_way):
        with pytest.raises(TimeoutError):
            async with at_most(0.01):
                await work()
        assert not is_cancelled()


async def test_what_is_in_time_is_left_alone() -> None:
    async with at_most(5):
        await asyncio.sleep(0)
    with pytest.raises(ValueError, match="own"):
        async with at_most(5):
            raise ValueError("its own")
    with pytest.raises(KindOfCancelledError):
        async with at_most(5):
            raise KindOfCancelledError


async def test_who_is_cancelled_stays_cancelled() -> None:
    seen: list[bool] = []

    async def work() -> None:
        try:
            async with at_most(5):
                await cancelled_in_its_own_way()
        finally:
            seen.append(is_cancelled())

    task = asyncio.create_task(work())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert seen == [True]


async def test_a_time_of_the_loop_is_a_limit_and_none_is_none() -> None:
    loop = asyncio.get_running_loop()
    with pytest.raises(TimeoutError):
        async with until(loop.time() + 0.01):
            await cancelled_in_its_own_way()
    async with until(None):
        await asyncio.sleep(0)


async def test_who_was_cancelled_before_has_limits_for_what_is_left_to_do() -> None:
    seen: list[str] = []

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            with pytest.raises(TimeoutError):
                async with at_most(0.01):
                    await cancelled_in_its_own_way()
            seen.append("let go")
            raise

    task = asyncio.create_task(work())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert seen == ["let go"]


async def test_a_limit_around_a_limit_is_the_outer_ones() -> None:
    async def patient() -> None:
        async with at_most(5):
            await cancelled_in_its_own_way()

    with pytest.raises(TimeoutError):
        async with at_most(0.01):
            await patient()
    assert not is_cancelled()


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="Pipecat replaces wait_for before 3.12")
async def test_the_wait_for_of_pipecat_is_why() -> None:
    import pipecat  # noqa: F401

    async def done_when_cancelled() -> str:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return "a result"
        raise AssertionError

    with pytest.raises(asyncio.CancelledError):  # if it is TimeoutError, time_limit can go
        async with asyncio.timeout(0.01):
            await asyncio.wait_for(done_when_cancelled(), 5)
    with pytest.raises(TimeoutError):
        async with at_most(0.01):
            await asyncio.wait_for(done_when_cancelled(), 5)
