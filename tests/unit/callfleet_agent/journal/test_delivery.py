"""Delivery: in order, once, again when the store is away, and not for ever when it refuses."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from callfleet_agent.journal import (
    Deliverer,
    DeliverLaterError,
    DeliverySettings,
    Entry,
    Journal,
    JournalSettings,
    RefusedError,
    Weight,
)


class FakeSink:
    """A store that is away so many times, and refuses what it is told to."""

    def __init__(self, *, away: int = 0, refuses: frozenset[str] = frozenset()) -> None:
        self.away = away
        self.refuses = refuses
        self.taken: list[str] = []

    async def deliver(self, entry: Entry) -> None:
        text = entry.payload.decode()
        if self.away:
            self.away -= 1
            raise DeliverLaterError
        if text in self.refuses:
            raise RefusedError("BAD")
        self.taken.append(text)


def journal(folder: Path, most_bytes: int = 1 << 20) -> Journal:
    return Journal(JournalSettings(folder=folder, key=bytes(32), most_bytes=most_bytes))


def add(to: Journal, data: str) -> None:
    to.append(Weight.DETAIL, 1, UUID(int=1), uuid4(), data.encode())


@asynccontextmanager
async def delivering(kept: Journal, sink: FakeSink, waits: list[float]) -> AsyncIterator[Deliverer]:
    async def sleep(seconds: float) -> None:
        waits.append(seconds)
        await asyncio.sleep(0)

    settings = DeliverySettings(sleep=sleep, random=lambda: 1.0, sync_s=0.01)
    deliverer = Deliverer(kept, sink, settings)
    task = asyncio.create_task(deliverer.run())
    try:
        yield deliverer
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_a_store_that_is_away_gets_everything_later_in_order(tmp_path: Path) -> None:
    kept, sink, waits = journal(tmp_path), FakeSink(away=8), list[float]()
    for number in range(3):
        add(kept, str(number))
    async with delivering(kept, sink, waits) as deliverer:
        await asyncio.wait_for(deliverer.drained(), 60)
        add(kept, "3")  # the deliverer sleeps until there is more
        await asyncio.wait_for(deliverer.drained(), 60)
    assert sink.taken == ["0", "1", "2", "3"]
    assert waits == [0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10.0, 10.0]


async def test_a_refused_record_holds_nothing_up(tmp_path: Path) -> None:
    kept, sink = journal(tmp_path), FakeSink(refuses=frozenset({"1"}))
    for number in range(3):
        add(kept, str(number))
    async with delivering(kept, sink, []) as deliverer:
        await asyncio.wait_for(deliverer.drained(), 60)
    assert sink.taken == ["0", "2"]
    assert (kept.counts.refused, kept.counts.delivered) == (1, 2)


async def test_a_record_that_is_given_up_while_it_waits_is_not_waited_for(tmp_path: Path) -> None:
    class Watched(FakeSink):
        asked = asyncio.Event()

        async def deliver(self, entry: Entry) -> None:
            self.asked.set()
            await super().deliver(entry)

    kept, sink = journal(tmp_path, most_bytes=700), Watched(away=3)
    add(kept, "x" * 400)
    async with delivering(kept, sink, []) as deliverer:
        await sink.asked.wait()
        add(kept, "y" * 400)
        await asyncio.wait_for(deliverer.drained(), 60)
    assert sink.taken == ["y" * 400]
    assert kept.counts.details_given_up == 1


async def test_a_cancelled_delivery_is_made_by_the_next_process(tmp_path: Path) -> None:
    class Hanging(FakeSink):
        asked = asyncio.Event()

        async def deliver(self, entry: Entry) -> None:
            self.asked.set()
            await asyncio.Event().wait()

    kept, hanging = journal(tmp_path), Hanging()
    add(kept, "0")
    async with delivering(kept, hanging, []):
        await asyncio.wait_for(hanging.asked.wait(), 60)
    kept.close()
    later, sink = journal(tmp_path), FakeSink()
    async with delivering(later, sink, []) as deliverer:
        await asyncio.wait_for(deliverer.drained(), 60)
    assert sink.taken == ["0"]


class FailingSink(FakeSink):
    """One with a bug: it raises what nobody expects, for what it is told to."""

    async def deliver(self, entry: Entry) -> None:
        if entry.payload.decode() == "bad":
            raise KeyError("what was said")
        await super().deliver(entry)


async def test_our_own_bug_stops_nothing_that_comes_after_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    kept, sink = journal(tmp_path), FailingSink()
    for data in ("a", "bad", "b"):
        add(kept, data)
    async with delivering(kept, sink, []) as deliverer:
        await asyncio.wait_for(deliverer.drained(), 60)
    assert sink.taken == ["a", "b"]
    assert kept.counts.refused == 1
    assert "what was said" not in caplog.text
