"""What a turn's record costs in the call's path, to the longest of thousands.

    python bench/journal.py [--quick] [--records 10000] [--pace 500] [--folder DIR]

The aim is under 1 ms, with no wait on a store. A record is sealed and in a file when `turn_ended`
returns; the disk is waited for in a thread meanwhile, twice a second, as the deliverer does it, and
never in the call's path. `context` is all that the connector does for a turn: it reads the context
that a worker handed over, of a long conversation, finds what is new in it, and records that. In
`disk busy` the thread waits for the disk all the time, which no pod does: what a record could meet.

Beside, at the same pace in the same run, what any program would take: `nothing` (the clock is read
twice), `write` (so many bytes appended to a file), `write + fdatasync` (the same, and the disk is
waited for: what the path would cost if it promised more).

Times are by the clock on the wall. To tell whose a long one is, each row says how much of the
slowest 1 % was the thread's own CPU time (`cpu p99`), how many of the records over 1 ms were put
off the core by others (`put off`), had to wait for something, such as a disk or a lock (`waited`),
or neither (`own`), and the longest of those that were neither.
"""

import argparse
import asyncio
import os
import resource
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Final
from uuid import uuid4

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench.report import Meanwhile, machine, percentile, show

from callfleet_agent.app.call_record import JournalRecorder
from callfleet_agent.app.call_story import CallStory
from callfleet_agent.app.live_calls import LiveCalls
from callfleet_agent.context import Envelope, sealed
from callfleet_agent.context.conversation import Exchange, Speaker
from callfleet_agent.dialog import Caller, Dialog, Heard, Memory, Started
from callfleet_agent.journal import Journal, JournalSettings
from callfleet_agent.session.record import CallSession

SYNC_S: Final = 0.5
LIMIT_MS: Final = 1.0
RECORD_BYTES: Final = 1024  # about what a turn's record is
Step = Callable[[], None]


@dataclass(slots=True)
class Times:
    """Of each step: wall and CPU in ms, and whether the thread left the core on its own account
    or on that of others."""

    wall_ms: list[float] = field(default_factory=list)
    cpu_ms: list[float] = field(default_factory=list)
    waited: list[bool] = field(default_factory=list)
    put_off: list[bool] = field(default_factory=list)

    def take(self, step: Step) -> None:
        """Do it once."""
        before, cpu = resource.getrusage(resource.RUSAGE_THREAD), time.thread_time_ns()
        began = time.perf_counter_ns()
        step()
        took = time.perf_counter_ns() - began
        used, after = time.thread_time_ns() - cpu, resource.getrusage(resource.RUSAGE_THREAD)
        self.wall_ms.append(took / 1e6)
        self.cpu_ms.append(used / 1e6)
        self.waited.append(after.ru_nvcsw > before.ru_nvcsw)
        self.put_off.append(after.ru_nivcsw > before.ru_nivcsw)

    def row(self, what: str) -> dict[str, object]:
        """One row of the table."""
        own = [
            wall
            for wall, waited, put_off in zip(self.wall_ms, self.waited, self.put_off, strict=True)
            if not waited and not put_off
        ]
        slow = [at for at, wall in enumerate(self.wall_ms) if wall > LIMIT_MS]
        figures = {f"p{percent} ms": percentile(self.wall_ms, percent) for percent in (50, 95, 99)}
        return {
            "what": what,
            "records": len(self.wall_ms),
            **{name: round(value, 4) for name, value in figures.items()},
            "p99.9 ms": round(percentile(self.wall_ms, 99.9), 4),
            "max ms": round(max(self.wall_ms), 4),
            "cpu p99 ms": round(percentile(self.cpu_ms, 99), 4),
            "over 1 ms": len(slow),
            "put off": sum(self.put_off[at] and not self.waited[at] for at in slow),
            "waited": sum(self.waited[at] for at in slow),
            "own": sum(not self.waited[at] and not self.put_off[at] for at in slow),
            "own max ms": round(max(own, default=0.0), 4),
        }


async def paced(step: Step, records: int, pace: float) -> Times:
    """So many steps, so many a second, as calls bring them."""
    times, loop = Times(), asyncio.get_running_loop()
    began = loop.time()
    for number in range(records):
        await asyncio.sleep(max(0.0, began + number / pace - loop.time()))
        times.take(step)
    return times


@asynccontextmanager
async def journal_in(folder: Path, sync_s: float) -> AsyncIterator[Journal]:
    """A journal whose disk is waited for in a thread, so often."""
    journal = Journal(JournalSettings(folder=folder, key=bytes(32)))
    stopped = asyncio.Event()

    async def sync() -> None:
        while not stopped.is_set():
            await asyncio.sleep(sync_s)
            await asyncio.to_thread(journal.sync)

    syncing = asyncio.create_task(sync())
    try:
        yield journal
    finally:
        stopped.set()
        await syncing
        journal.close()


def contexts() -> Iterator[bytes]:
    """Those of a conversation that is as long as one may be, turn after turn."""
    dialog = Dialog()
    memory = dialog.step(Memory(), Started(Caller("+15550100", trusted=True))).memory
    while True:
        memory = replace(memory, turns=1)
        memory = dialog.step(memory, Heard("help")).memory
        yield sealed(Envelope("card-delivery", dialog.dump(memory), (0.1,) * 13))


def recording(journal: Journal) -> Step:
    """Records of twenty calls, in turn."""
    recorder, numbers = JournalRecorder(journal), count()
    calls = [uuid4() for _ in range(20)]

    def step() -> None:
        turn = next(numbers)
        exchanges = (
            Exchange(speaker=Speaker.CALLER, content="where is my credit card", turn=turn),
            Exchange(speaker=Speaker.AGENT, content="Your card was shipped. " * 4, turn=turn),
        )
        facts = {"dialog": {"state": "more", "history": ["x" * 40] * 10}}
        recorder.turn_ended(calls[turn % 20], uuid4(), {"exchanges": exchanges, "facts": facts})

    return step


def telling(journal: Journal, folder: Path, turns: int) -> Step:
    """Contexts of one call, which were made before."""
    story = CallStory(uuid4(), JournalRecorder(journal), LiveCalls(folder / "live"))
    story.started(
        CallSession(session_id=uuid4(), sip_call_id="a@b", call_start_time=datetime.now(UTC))
    )
    made = iter([context for _, context in zip(range(turns), contexts(), strict=False)])
    return lambda: story.context(next(made))


async def measure(folder: Path, options: argparse.Namespace) -> list[dict[str, object]]:
    """Every row, what any program would take first."""
    plain = os.open(folder / "plain", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    data, rows = os.urandom(RECORD_BYTES), []

    def write() -> None:
        os.write(plain, data)

    def write_and_wait() -> None:
        write()
        os.fdatasync(plain)

    steps: dict[str, Step] = {
        "nothing": lambda: None,
        "write": write,
        "write + fdatasync": write_and_wait,
    }
    for what, step in steps.items():
        rows.append((await paced(step, options.records, options.pace)).row(what))
    os.close(plain)
    for what, sync_s in (("record", SYNC_S), ("record, disk busy", 0.0)):
        async with journal_in(folder / what, sync_s) as journal:
            times = await paced(recording(journal), options.records, options.pace)
            rows.append(times.row(what))
    async with journal_in(folder / "context", SYNC_S) as journal:
        step = telling(journal, folder, options.records)
        rows.append((await paced(step, options.records, options.pace)).row("context"))
    return rows


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="50 records")
    parser.add_argument("--records", type=int, default=10_000)
    parser.add_argument("--pace", type=float, default=500.0, help="records a second")
    parser.add_argument("--folder", type=Path, help="where the journal lies; a temporary folder")
    options = parser.parse_args()
    options.records = 50 if options.quick else options.records
    facts, meanwhile = machine(), Meanwhile()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        rows = asyncio.run(measure(Path(folder), options))
    show("journal", {**facts, **meanwhile.facts(), "pace": options.pace}, rows)


if __name__ == "__main__":
    main()
