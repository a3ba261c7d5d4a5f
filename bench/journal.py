"""What a turn's record costs in the call's path: sealed and in a file when `turn_ended` returns.

    python bench/journal.py [--turns 20000]

The aim is under 1 ms, with no wait on a store. The disk is waited for in a thread meanwhile, twice
a second, as the deliverer does it.
"""

import argparse
import asyncio
import contextlib
import json
import tempfile
import time
from pathlib import Path
from uuid import uuid4

from callfleet_agent.app.call_record import JournalRecorder
from callfleet_agent.context.conversation import Exchange, Speaker
from callfleet_agent.journal import Journal, JournalSettings


async def sync(journal: Journal) -> None:
    while True:
        await asyncio.sleep(0.5)
        await asyncio.to_thread(journal.sync)


async def measure(folder: Path, turns: int) -> dict[str, float | int]:
    journal = Journal(JournalSettings(folder=folder, key=bytes(32)))
    recorder = JournalRecorder(journal)
    syncing = asyncio.create_task(sync(journal))
    calls = [uuid4() for _ in range(20)]
    took: list[float] = []
    for turn in range(turns):
        exchanges = (
            Exchange(speaker=Speaker.CALLER, content="where is my credit card", turn=turn),
            Exchange(speaker=Speaker.AGENT, content="Your card was shipped. " * 4, turn=turn),
        )
        facts = {"dialog": {"state": "more", "history": ["x" * 40] * 10}}
        began = time.perf_counter()
        recorder.turn_ended(calls[turn % 20], uuid4(), {"exchanges": exchanges, "facts": facts})
        took.append((time.perf_counter() - began) * 1e6)
        if turn % 100 == 99:
            await asyncio.sleep(0)
    syncing.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await syncing
    took.sort()
    return {
        "turns": turns,
        "p50_us": round(took[len(took) // 2], 1),
        "p99_us": round(took[int(len(took) * 0.99)], 1),
        "p999_us": round(took[int(len(took) * 0.999)], 1),
        "longest_us": round(took[-1], 1),
        "details_given_up": journal.counts.details_given_up,
        "owed": len(journal),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--turns", type=int, default=20_000)
    parser.add_argument("--folder", type=Path, help="where the journal lies; a temporary folder")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        print(json.dumps(asyncio.run(measure(Path(folder), options.turns)), indent=2))


if __name__ == "__main__":
    main()
