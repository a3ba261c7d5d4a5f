"""End of speech to the first audio of the answer, by the softphone's definition.

    python bench/answer.py [--quick] [--turns 50] [--calls 10] [--no-limit]

A real agent (`callfleet run`, its worker and a demo bank) is called by real phones: alone, and
with several calls at once. A turn is "help", which the agent can answer in every state: it takes
the whole way of sound, recognition, dialog and synthesis. Limit: 700 ms at p95. The baseline in the
same run is the same measure of an agent that answers keys with a tone and neither listens nor
thinks: what network, jitter buffer and packets cost by themselves.
"""

import argparse
import asyncio
import os
import signal
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from bench.report import machine, percentile, show

from callfleet_agent.app.phone.phone import Phone, PhoneSettings
from callfleet_agent.app.phone.turns import Turn
from callfleet_agent.app.settings import free_port
from fakes.connector import LOOPBACK, call, running

LIMIT_MS = 700.0
SPREAD_S = 7.0  # a turn and its answer: callers do not speak in chorus
MANIFEST = """
apiVersion: callfleet.io/v1alpha1
kind: VoiceAgent
metadata: {name: bench}
spec: {dialog: {bankName: Example Bank}}
"""


async def one_call(port: int, turns: int, after_s: float) -> list[float | None]:
    """The answers' times of one call; None for a turn that got none."""
    await asyncio.sleep(after_s)
    phone = Phone(
        PhoneSettings(
            uri=f"sip:agent@{LOOPBACK}:{port}",
            bind=LOOPBACK,
            turns=(Turn(say="help"),) * turns,
            recognise=False,
            voice="en-us",
        )
    )
    report = await phone.run()
    answers = [turn.answer_ms for turn in report.turns]
    return answers + [None] * (turns - len(answers))


async def several(
    what: str, port: int, calls: int, turns: int, spread_s: float = SPREAD_S
) -> dict[str, object]:
    """So many turns in so many calls at once, in calls of at most ten turns."""
    answers: list[float | None] = []
    while len(answers) < turns:
        each = min(10, max(1, (turns - len(answers)) // calls))
        starts = (number * spread_s / calls for number in range(calls))
        for found in await asyncio.gather(*(one_call(port, each, start) for start in starts)):
            answers += found
    return row(what, answers)


def row(what: str, answers: list[float | None]) -> dict[str, object]:
    """One row of the table."""
    times = [answer for answer in answers if answer is not None]
    return {
        "what": what,
        "turns": len(answers),
        "unanswered": len(answers) - len(times),
        "p50 ms": percentile(times, 50) if times else float("inf"),
        "p95 ms": percentile(times, 95) if times else float("inf"),
    }


async def baseline(turns: int) -> dict[str, object]:
    """Keys that are answered with a tone."""
    async with running() as connector:
        report = await call(connector, *[Turn(keys="1")] * turns)
    return row("tone for a key", [turn.answer_ms for turn in report.turns])


async def agent(folder: Path, port: int) -> asyncio.subprocess.Process:
    """`callfleet run`, when it takes calls."""
    manifest = folder / "agent.yaml"
    manifest.write_text(MANIFEST, encoding="utf-8")
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "callfleet_agent.main", "run", str(manifest), "--port", str(port),
        "--rtp-ports", "56000-57999",
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )  # fmt: skip
    if process.stdout is None:
        raise SystemExit("the agent has no output")
    async with asyncio.timeout(120):
        if not await process.stdout.readline():
            raise SystemExit("the agent did not start")
    await asyncio.sleep(3)  # the spare worker loads its models too
    return process


async def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="a few turns")
    parser.add_argument("--turns", type=int, default=50)
    parser.add_argument("--calls", type=int, default=10)
    parser.add_argument("--no-limit", action="store_true", help="do not fail above 700 ms")
    options = parser.parse_args()
    turns, calls = (4, 2) if options.quick else (options.turns, options.calls)
    facts = machine()
    rows = [await baseline(min(turns, 10))]
    with TemporaryDirectory() as folder:
        port = free_port(LOOPBACK)
        process = await agent(Path(folder), port)
        try:
            rows.append(await several("alone", port, 1, turns))
            rows.append(await several(f"{calls} calls at once", port, calls, max(turns, calls)))
            chorus = f"{calls} calls in chorus"  # the worst case, which has no limit
            rows.append(await several(chorus, port, calls, max(turns, calls), spread_s=0.0))
        finally:
            process.send_signal(signal.SIGINT)
            await process.wait()
    show("answer", facts, rows)
    slow = [found for found in rows[1:3] if float(str(found["p95 ms"])) > LIMIT_MS]
    if slow and not (options.no_limit or options.quick):
        raise SystemExit(f"p95 is above {LIMIT_MS:.0f} ms")


if __name__ == "__main__":
    asyncio.run(main())
