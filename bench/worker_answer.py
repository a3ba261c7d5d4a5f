"""From the end of the caller's speech to the first sound of the answer, at the worker's link.

    python bench/worker_answer.py [--quick] [--calls 1 10] [--turns 50]

One worker process; calls speak espeak-ng through G.711 with a noise floor, on real 20 ms ticks.
The end of speech is the last sample above -40 dBFS, the answer the first speech sustained for 60
ms. The connector's jitter buffer (40 to 60 ms) comes on top.
"""

import argparse
import asyncio
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from fakes.bank import FakeBank
from fakes.line import FakeLine

WORKER = """
import asyncio, sys, uvloop
from pathlib import Path
from callfleet_agent.banking import HttpBankSettings
from callfleet_agent.pipeline import WorkerSettings, worker_main
from callfleet_agent.transport.link_server import LinkServer
settings = WorkerSettings(bank=HttpBankSettings(url=sys.argv[2]))
ready = lambda: print("ready", flush=True)
uvloop.run(worker_main(Path(sys.argv[1]), settings, LinkServer, ready=ready))
"""


async def one_call(socket: Path, turns: int) -> list[float]:
    """Asks the same question again and again; the times of the answers in milliseconds."""
    async with FakeLine(socket) as line:
        await line.heard_out()
        for _ in range(turns):
            asked, finished = len(line.states), line.finished
            await line.say("where is my credit card")
            await line.until(lambda n=asked: len(line.states) > n)
            await line.until(lambda n=finished: line.finished > n)
            if line.states[-1] == "identify":
                await line.press("*")
                await line.until(lambda n=finished: line.finished > n + 1)
        return line.answers_ms


async def measure(calls: int, turns: int, url: str, folder: Path) -> None:
    """A worker of its own for this many calls at once."""
    socket = folder / f"{calls}.sock"
    began = time.monotonic()
    worker = await asyncio.create_subprocess_exec(
        sys.executable, "-c", WORKER, str(socket), url, stdout=asyncio.subprocess.PIPE
    )
    try:
        assert worker.stdout is not None
        await worker.stdout.readline()
        warm_s = time.monotonic() - began
        each = -(-turns // calls)
        found = await asyncio.gather(*(one_call(socket, each) for _ in range(calls)))
    finally:
        worker.kill()
        await worker.wait()
    times = sorted(value for call in found for value in call)
    cut = statistics.quantiles(times, n=20)
    print(
        f"| {calls} | {len(times)} | {statistics.median(times):.0f} | {cut[-1]:.0f} "
        f"| {times[-1]:.0f} | {warm_s:.1f} |"
    )


async def main() -> None:
    """Prints one table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--calls", type=int, nargs="+", default=[1, 10])
    parser.add_argument("--turns", type=int, default=50)
    options = parser.parse_args()
    turns = 4 if options.quick else options.turns
    head = ["git", "rev-parse", "--short", "HEAD"]
    done = await asyncio.to_thread(subprocess.run, head, capture_output=True, text=True)
    commit = done.stdout.strip()
    print(f"{platform.machine()}, Python {platform.python_version()}, {commit}\n")
    print("| calls at once | answers | p50 ms | p95 ms | max ms | worker warm s |")
    print("|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        async with FakeBank() as bank:
            for calls in [1] if options.quick else options.calls:
                await measure(calls, turns if calls > 1 else min(turns, 28), bank.url, Path(folder))


if __name__ == "__main__":
    asyncio.run(main())
