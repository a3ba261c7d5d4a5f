"""Streams that are held at once: what one costs, whether the server keeps up, and its memory.

So many streams are open at the same time for all of the measurement, each with 20 ms of sound every
20 ms (or, for speech that is made, listened to as fast as it is spoken).
"""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from statistics import median
from typing import Any, Final

import grpc
from bench.meter import Memory, Meter
from bench.report import percentile

TICK_S: Final = 0.02
LOOKS: Final = 5
LOOK_S: Final = 0.01
BEHIND_MS: Final = 200.0  # more than that is not held


@dataclass(slots=True)
class Tally:
    """What the clients see of the streams."""

    open: int = 0
    failed: Counter[str] = field(default_factory=Counter)  # by gRPC's status
    answers: int = 0
    late_ms: list[float] = field(default_factory=list)
    behind_ms: list[float] = field(default_factory=list)

    @contextmanager
    def stream(self) -> Iterator[None]:
        """One of them; that it breaks is counted."""
        self.open += 1
        try:
            yield
        except grpc.aio.AioRpcError as error:
            self.failed[error.code().name] += 1
        finally:
            self.open -= 1


Hold = Callable[[int, float, Tally], Any]
"""Awaited, it holds the stream of this number for so many seconds."""


async def duplex(
    call: Callable[[AsyncIterator[Any]], Any],
    make: Callable[[int], Any],
    seconds: float,
    tally: Tally,
) -> None:
    """A stream of chunks, each at its time; it is behind by how long after the last it ends."""
    loop, last = asyncio.get_running_loop(), 0.0

    async def chunks() -> AsyncIterator[Any]:
        nonlocal last
        began = loop.time()
        for number in range(max(1, round(seconds / TICK_S))):
            due = began + number * TICK_S
            await asyncio.sleep(max(0.0, due - loop.time()))
            tally.late_ms.append(max(0.0, loop.time() - due) * 1000)
            yield make(number)
        last = loop.time()

    with tally.stream():
        async for _ in call(chunks()):
            tally.answers += 1
        tally.behind_ms.append((loop.time() - last) * 1000)


async def listened(
    call: Callable[[int], Any], seconds_of: Callable[[bytes], float], seconds: float, tally: Tally
) -> None:
    """One answer after the other, heard as fast as it is spoken. A piece is late by the silence
    that the listener hears before it, the first one since it was asked for."""
    loop = asyncio.get_running_loop()
    ends, number = loop.time() + seconds, 0
    with tally.stream():
        while loop.time() < ends:
            due = loop.time()
            answers = call(number)
            async for answer in answers:
                now = loop.time()
                tally.late_ms.append(max(0.0, now - due) * 1000)
                tally.answers += 1
                due = max(now, due) + seconds_of(answer)
                await asyncio.sleep(max(0.0, min(due, ends) - loop.time()))
                if loop.time() >= ends:
                    answers.cancel()
                    break
            number += 1
        tally.behind_ms.append(0.0)


async def usual(meter: Meter) -> Memory:
    """The median of some looks: a program that an engine runs for a moment is not always there."""
    looks = []
    for _ in range(LOOKS):
        looks.append(meter.memory())
        await asyncio.sleep(LOOK_S)
    return Memory(median(look.rss for look in looks), median(look.pss for look in looks))


@dataclass(frozen=True, slots=True)
class Gauge:
    """Measures streams of one kind on one server. `before` is its memory after a first stream
    has come and gone: models and code are there, buffers for many streams are not."""

    name: str
    meter: Meter
    seconds: float
    before: Memory

    @classmethod
    async def made(cls, name: str, meter: Meter, seconds: float, hold: Hold) -> "Gauge":
        """After the first stream."""
        first = Tally()
        await hold(0, min(seconds, 2.0), first)
        if first.failed:
            raise SystemExit(f"{name}: the first stream ended with {', '.join(first.failed)}")
        await asyncio.sleep(min(seconds, 0.5))
        return cls(name, meter, seconds, await usual(meter))

    async def row(self, hold: Hold, count: int) -> dict[str, Any]:
        """So many at once. Memory is looked at shortly before they end, when all are open."""
        tally, cpu, began = Tally(), self.meter.cpu_s(), time.perf_counter()
        streams = (hold(number, self.seconds, tally) for number in range(count))
        holding = asyncio.gather(*streams)
        await asyncio.sleep(self.seconds * 0.85)
        held, spent = tally.open, self.meter.cpu_s() - cpu
        took_s = time.perf_counter() - began
        memory = await usual(self.meter)
        await holding
        behind_ms = max(tally.behind_ms, default=0.0)
        return {
            "streams": self.name,
            "count": count,
            "held": held,
            "kept_up": held == count and not tally.failed and behind_ms <= BEHIND_MS,
            "failed": ", ".join(f"{code} {times}" for code, times in tally.failed.items()),
            "answers": tally.answers,
            "cpu_each_percent": round(spent / took_s / count * 100, 2),
            "pss_kib_each": round((memory.pss - self.before.pss) / count),
            "rss_kib_each": round((memory.rss - self.before.rss) / count),
            "server_mib": round(memory.pss / 1024),
            "late_p50_ms": round(percentile(tally.late_ms, 50), 2),
            "late_p99_ms": round(percentile(tally.late_ms, 99), 2),
            "behind_ms": round(behind_ms, 1),
        }
