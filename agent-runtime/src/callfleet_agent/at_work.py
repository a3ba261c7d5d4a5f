"""Waiting for another process that may take as long as it is at work.

How long a start takes says little on a machine that has no time for it: one that was killed for
being late begins anew, with everybody else's starts, and is late again. What a process that hangs
does not do is use the processor, or page its program in; so that is looked at.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

LEAST: Final = 10
"""Less than so much between two looks is no work: a tenth of a second, or ten pages from disk."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Pace:
    """`look_s` between two looks; `most_s` in all, for what is busy and comes to no end."""

    look_s: float = 60.0
    most_s: float = 600.0


def work_of(process: int, processes: Path = Path("/proc")) -> int | None:
    """What a process has done up to now: hundredths of a second of the processor, and pages that
    came from disk; its children's too, if it leads a group. None: that cannot be seen here."""
    if not (processes / "self").exists():
        return None
    return sum(_done(folder, process) for folder in processes.glob("[0-9]*"))


def _done(folder: Path, process: int) -> int:
    """proc(5): after the name in brackets come state, ppid, pgrp, …, majflt, cmajflt, utime, stime,
    cutime, cstime. Times are in hundredths of a second everywhere (USER_HZ)."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        told = (folder / "stat").read_text(encoding="utf-8", errors="replace")
        fields = told.rpartition(")")[2].split()
        if process in {int(folder.name), int(fields[2])}:
            return sum(int(fields[at]) for at in (9, 10, 11, 12, 13, 14))
    return 0


async def at_work(
    done: Awaitable[T],
    work: Callable[[], int | None],
    pace: Pace,
    slow: Callable[[float], None],
) -> T:
    """What comes of `done`; `slow` is told the seconds so far whenever it takes another while.

    Raises:
        TimeoutError: nothing was done in the meantime, or it takes too long altogether.
    """
    loop = asyncio.get_running_loop()
    waiting = asyncio.ensure_future(done)
    began, before = loop.time(), work()
    try:
        while True:
            left_s = began + pace.most_s - loop.time()
            await asyncio.wait({waiting}, timeout=min(pace.look_s, left_s))
            if waiting.done():
                return waiting.result()
            passed_s, now = loop.time() - began, work()
            if passed_s >= pace.most_s or now is None or before is None or now - before < LEAST:
                raise TimeoutError
            before = now
            slow(passed_s)
    finally:
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
