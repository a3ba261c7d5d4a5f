"""End of speech to the first audio of the answer, by the softphone's definition.

    python bench/answer.py [--quick] [--platform] [--turns 50] [--calls 10] [--no-limit]

A real agent (`callfleet run`, its worker and a demo bank) is called by real phones: alone, with
several calls at once that speak in step, and with as many whose turns are spread over time, as in
life. A turn is "help", which the agent can answer in every state: it takes the whole way of sound,
recognition, dialog and synthesis. Limit: 700 ms at p95 of the first two. The baseline in the same
run is the same measure of an agent that answers keys with a tone and neither listens nor thinks:
what network, jitter buffer and packets cost by themselves.

`--platform` adds pods as a cluster runs them (`callfleet serve agent`), whose callers have proven
who they are and ask "where is my card" again and again, each time of the bank. One pod asks the
bank itself; the other uses the session manager, the context store and banking over gRPC with mutual
TLS and tokens, with PostgreSQL and Redis behind them, keeps the call's record, and asks the bank
through them. Both are up at the same time and are called in turn; the limit counts for them, too.

The phones do not recognise what they hear. They run on the same machine, in this process: what they
cost beside the agent is in the table, in percent of one core.
"""

import argparse
import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from bench.calls import CARD, HELP, NO_COSTS, Agent, row, several
from bench.meter import Meter
from bench.platform.agents import SERVICES, Pod, agent, calls_kept
from bench.platform.servers import rigged
from bench.report import Meanwhile, machine, show

from callfleet_agent.app.phone.turns import Turn
from callfleet_agent.app.settings import free_port
from fakes.connector import LOOPBACK, call, running

LIMIT_MS = 700.0
SPREAD_S = 7.0  # a turn and its answer
SPARE_S = 3.0  # the spare worker loads its models too
MANIFEST = """
apiVersion: callfleet.io/v1alpha1
kind: VoiceAgent
metadata: {name: bench}
spec: {dialog: {bankName: Example Bank}}
"""
Row = dict[str, object]


async def baseline(turns: int) -> Row:
    """Keys that are answered with a tone."""
    async with running() as connector:
        report = await call(connector, *[Turn(keys="1")] * turns)
    return row("tone for a key", [turn.answer_ms for turn in report.turns]) | NO_COSTS


@asynccontextmanager
async def laptop(folder: Path) -> AsyncIterator[Agent]:
    """`callfleet run`, when it takes calls."""
    manifest, port = folder / "agent.yaml", free_port(LOOPBACK)
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
    try:
        async with asyncio.timeout(120):
            if not await process.stdout.readline():
                raise SystemExit("the agent did not start")
        yield Agent(port, Meter.of(process.pid))
    finally:
        process.send_signal(signal.SIGINT)
        await process.wait()


async def on_the_laptop(options: argparse.Namespace) -> list[Row]:
    """Help, alone and in several calls at once."""
    name, turns, calls = f"{options.calls} calls at once", options.turns, options.calls
    with TemporaryDirectory() as folder:
        async with laptop(Path(folder)) as agent:
            await asyncio.sleep(0 if options.quick else SPARE_S)
            many = max(turns, calls)
            rows = [
                await several("alone", agent, HELP, 1, turns),
                await several(f"{name}, in step", agent, HELP, calls, many),
            ]
            if not options.quick:
                what = f"{name}, spread over {SPREAD_S:.0f} s"
                rows.append(await several(what, agent, HELP, calls, many, spread_s=SPREAD_S))
    return rows


async def in_pods(options: argparse.Namespace) -> tuple[list[Row], int]:
    """The card's way, asked of the bank, without the services and with them; and how many calls
    the database knows after that."""
    rows, calls = [], options.calls
    kinds = [("alone", 1)] if options.quick else [("alone", 1), (f"{calls} at once", calls)]
    with (
        rigged(clients=calls, calls=calls) as rig,
        rig.platform(*SERVICES, pinned=False) as services,
    ):
        async with AsyncExitStack() as stack:
            pods = {}
            if not options.quick:
                without = agent(Pod(rig, "without", "54000-55999"))
                pods["card, without services"] = await stack.enter_async_context(without)
            using = agent(Pod(rig, "with", "58000-59999"), services)
            pods["card, with services"] = await stack.enter_async_context(using)
            await asyncio.sleep(0 if options.quick else SPARE_S)
            for how, at_once in kinds:
                for what, pod in pods.items():
                    turns = max(options.turns, at_once)
                    rows.append(await several(f"{what}, {how}", pod, CARD, at_once, turns))
        return rows, await calls_kept(rig)


async def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="a turn of each; one pod")
    parser.add_argument("--platform", action="store_true", help="pods with services, too")
    parser.add_argument("--turns", type=int, default=50)
    parser.add_argument("--calls", type=int, default=10)
    parser.add_argument("--no-limit", action="store_true", help="do not fail above 700 ms")
    options = parser.parse_args()
    if options.quick:
        options.turns, options.calls = 1, 2
    facts, meanwhile = machine(), Meanwhile()
    rows = [await baseline(min(options.turns, 10)), *await on_the_laptop(options)]
    limited = rows[1:3]
    if options.platform:
        pods, facts["calls_kept"] = await in_pods(options)
        rows, limited = rows + pods, limited + pods
    show("answer", {**facts, **meanwhile.facts()}, rows)
    slow = [found for found in limited if float(str(found["p95 ms"])) > LIMIT_MS]
    if slow and not (options.no_limit or options.quick):
        raise SystemExit(
            f"p95 is above {LIMIT_MS:.0f} ms: " + ", ".join(str(each["what"]) for each in slow)
        )


if __name__ == "__main__":
    asyncio.run(main())
