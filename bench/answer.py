"""End of speech to the first audio of the answer, by the softphone's definition.

    python bench/answer.py [--quick] [--turns 50] [--calls 10] [--no-limit]

A real agent (`callfleet run`, its worker and a demo bank) is called by real phones: alone, with
several calls at once that speak in step, and with as many whose turns are spread over time, as in
life. A turn is "help", which the agent can answer in every state: it takes the whole way of sound,
recognition, dialog and synthesis. Limit: 700 ms at p95 of the first two. The baseline in the same
run is the same measure of an agent that answers keys with a tone and neither listens nor thinks:
what network, jitter buffer and packets cost by themselves.

The phones do not recognise what they hear. They run on the same machine, in this process: what they
cost beside the agent is in the table, in percent of one core.
"""

import argparse
import asyncio
import os
import signal
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

import psutil
from bench.report import machine, percentile, show

from callfleet_agent.app.phone.phone import Phone, PhoneSettings
from callfleet_agent.app.phone.turns import Turn
from callfleet_agent.app.settings import free_port
from fakes.connector import LOOPBACK, call, running

LIMIT_MS = 700.0
SPREAD_S = 7.0  # a turn and its answer
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


class Costs:
    """Processor time of the agent's processes and of this one, which has the phones."""

    def __init__(self, agent: int) -> None:
        self._agent = psutil.Process(agent)
        self._began = self._now()

    def _now(self) -> tuple[float, float, float]:
        family = [self._agent, *self._agent.children(recursive=True)]
        spent = sum(sum(process.cpu_times()[:2]) for process in family)
        return time.monotonic(), spent, time.process_time()

    def percent(self) -> dict[str, object]:
        """Of one core, since the beginning."""
        now, agent, phones = (a - b for a, b in zip(self._now(), self._began, strict=True))
        return {"agent cpu %": 100 * agent / now, "phones cpu %": 100 * phones / now}


async def several(
    what: str, port: int, agent: int, calls: int, turns: int, *, spread_s: float = 0.0
) -> dict[str, object]:
    """So many turns in so many calls at once, in calls of at most ten turns."""
    answers: list[float | None] = []
    costs = Costs(agent)
    while len(answers) < turns:
        each = min(10, max(1, (turns - len(answers)) // calls))
        starts = (number * spread_s / calls for number in range(calls))
        for found in await asyncio.gather(*(one_call(port, each, start) for start in starts)):
            answers += found
    return row(what, answers) | costs.percent()


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
    answers = [turn.answer_ms for turn in report.turns]
    return row("tone for a key", answers) | {"agent cpu %": "-", "phones cpu %": "-"}


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
    turns, calls = (2, 2) if options.quick else (options.turns, options.calls)
    facts = machine()
    rows = [await baseline(min(turns, 10))]
    with TemporaryDirectory() as folder:
        port = free_port(LOOPBACK)
        process = await agent(Path(folder), port)
        try:
            rows.append(await several("alone", port, process.pid, 1, turns))
            name, many = f"{calls} calls at once", max(turns, calls)
            rows.append(await several(f"{name}, in step", port, process.pid, calls, many))
            if not options.quick:
                spread = f"{name}, spread over {SPREAD_S:.0f} s"
                rows.append(
                    await several(spread, port, process.pid, calls, many, spread_s=SPREAD_S)
                )
        finally:
            process.send_signal(signal.SIGINT)
            await process.wait()
    show("answer", facts, rows)
    slow = [found for found in rows[1:3] if float(str(found["p95 ms"])) > LIMIT_MS]
    if slow and not (options.no_limit or options.quick):
        raise SystemExit(
            f"p95 is above {LIMIT_MS:.0f} ms: " + ", ".join(str(each["what"]) for each in slow)
        )


if __name__ == "__main__":
    asyncio.run(main())
