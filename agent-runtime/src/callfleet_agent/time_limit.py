"""Time limits that end in TimeoutError, whatever is awaited within them.

Pipecat puts another `wait_for` in the place of asyncio's on Python 3.11. When a result and a
cancellation come at the same moment, that one raises a kind of CancelledError; asyncio.timeout
turns CancelledError itself into TimeoutError, and not a kind of it. What is left then looks like
work that somebody has cancelled: gRPC sends no status for it, and a task ends without a word.
So nothing else in this package limits time; the linter holds to it.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager


def is_cancelled() -> bool:
    """Whether somebody has asked this task to stop."""
    return _asked() > 0


def at_most(seconds: float) -> AbstractAsyncContextManager[None]:
    """Raises TimeoutError when the block takes longer."""
    return _limited(asyncio.timeout(seconds))


def until(when: float | None) -> AbstractAsyncContextManager[None]:
    """Raises TimeoutError when the block is not over at this time of the loop; None: no limit."""
    return _limited(asyncio.timeout_at(when))


@asynccontextmanager
async def _limited(limit: asyncio.Timeout) -> AsyncIterator[None]:
    asked = _asked()
    try:
        async with limit:
            yield
    except asyncio.CancelledError:
        if limit.expired() and _asked() <= asked:
            raise TimeoutError from None
        raise


def _asked() -> int:
    task = asyncio.current_task()
    return 0 if task is None else task.cancelling()
