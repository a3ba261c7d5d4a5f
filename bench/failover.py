"""The silence that a caller hears when the first provider of a chain dies, beside stock Pipecat.

    python bench/failover.py [--quick] [--faults 100] [--at-once 20] [--stage llm] [--chain ours]

Two servers in a process of their own speak OpenAI's protocol on loopback: the first has the fault,
the second is well, and begins its answer after 80 ms. `more silence` is that of an answer less the
median of answers without a fault in the same run. Each fault meets a closed circuit.

- tts: one sentence of 0.8 s. A line plays what comes in real time and counts the silence until the
  whole sentence has been heard.
- llm: two sentences, a word each 20 ms. A line speaks each when it is whole, at 67 ms a character.
- asr: from the end of speech to the text. `stream` is our own protocol, in which an engine hears
  while somebody speaks, and can die there.

`ours` has the time limits that a ProviderPool has when nothing is said of them, and hedges at the
95th percentile; `ours, by default` hedges as a pool of one's own does that says nothing of it: at
99, where an answer is silent for far longer than any before. In `ours, no hedging` the limits alone
count: 300 ms to the first piece and between two. `ours, before an account` is a pool that says
nothing, where another of its chain is an account or has a budget: it is not hedged, and has the
usual limits. As in a worker, engines are there before the call, with open connections. The baseline
is Pipecat's ServiceSwitcher in its failover strategy with two of Pipecat's own OpenAI services,
made anew for each answer and started before it counts; of a fault of which the first that were
asked at once are all lost it is asked no more. It has no client of our protocol. An answer that is
not whole after four seconds is `lost`. Aim: p95 under 400 ms.
"""

import argparse
import asyncio
import logging
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from bench.failing.house import House, house
from bench.failing.kinds import KINDS, QUICK, Kind
from bench.failing.ours import Answer, Rules, ours
from bench.failing.stock import stock
from bench.report import Meanwhile, machine, percentile, show

import callfleet_agent.pipeline  # noqa: F401 - quietens Pipecat before it is imported
from callfleet_operator.model.engines import Stage

LOST_S, APART_S = 4.0, 0.02
# All limits of a quick run, which may be on a busy machine, are so many times as long.
QUICK_TIMES = 5
STOCK = "stock Pipecat"


async def several(
    servers_of: House,
    who: str,
    answer: Answer,
    stage: Stage,
    kind: Kind,
    options: argparse.Namespace,
) -> list[float | None]:
    """So many answers with this fault, by as many callers at once, who do not begin together."""
    found: list[float | None] = []
    left = iter(range(options.faults))
    async with servers_of.serving(stage, kind) as servers:

        async def caller(number: int) -> None:
            await asyncio.sleep(number * APART_S)
            for _ in left:
                found.append(await answer(servers))
                if who == STOCK and set(found) == {None}:
                    return

        if kind.well:
            await answer(servers)  # one that does not count: what is loaded late is loaded then
        await asyncio.gather(*(caller(number) for number in range(options.at_once)))
    return found


def row(
    who: str, stage: Stage, fault: str, found: list[float | None], normal_s: float
) -> dict[str, object]:
    """One row of the table."""
    more = [(silence - normal_s) * 1000 for silence in found if silence is not None]
    return {
        "stage": stage.value,
        "chain": who,
        "fault": fault,
        "answers": len(found),
        "lost": len(found) - len(more) if found else "cannot",
        "more silence p50 ms": percentile(more, 50) if more else float("inf"),
        "more silence p95 ms": percentile(more, 95) if more else float("inf"),
    }


async def of_chain(
    servers_of: House, who: str, answer: Answer, stage: Stage, options: argparse.Namespace
) -> list[dict[str, object]]:
    """Its rows; each protocol's first kind is the one without a fault."""
    normal_s, rows = 0.0, []
    for fault in QUICK[stage] if options.quick else KINDS[stage]:
        kind, found = KINDS[stage][fault], []
        if who != STOCK or not kind.streamed:
            found = await several(servers_of, who, answer, stage, kind, options)
        if kind.well:
            whole = [silence for silence in found if silence is not None]
            normal_s = percentile(whole, 50) if whole else 0.0
        rows.append(row(who, stage, fault, found, normal_s))
        print(*rows[-1].values(), sep=", ", file=sys.stderr, flush=True)
    return rows


async def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="two faults of each stage, once")
    parser.add_argument("--faults", type=int, default=100)
    parser.add_argument("--at-once", type=int, default=20)
    parser.add_argument("--stage", type=Stage, action="append", choices=list(KINDS), default=None)
    parser.add_argument("--chain", action="append", default=None, help="such as: ours, by default")
    options = parser.parse_args()
    options.faults = 1 if options.quick else options.faults
    facts, meanwhile, rows = machine(), Meanwhile(), []
    times = QUICK_TIMES if options.quick else 1
    chains: dict[str, Answer] = {
        "ours": ours(Rules(95, times=times)),
        "ours, by default": ours(Rules(99, times=times)),
        "ours, no hedging": ours(Rules(0, within_s=0.3, times=times)),
        "ours, before an account": ours(Rules(0, times=times)),
        STOCK: stock(LOST_S * times / 2 if options.quick else LOST_S),
    }
    if unknown := set(options.chain or ()) - set(chains):
        parser.error(f"--chain: {unknown.pop()} is none of: {'; '.join(chains)}")
    logging.getLogger("callfleet_agent").setLevel(logging.ERROR)
    async with house() as servers_of:
        for stage in options.stage or KINDS:
            for who in options.chain or chains:
                answer = chains[who]
                rows += await of_chain(servers_of, who, answer, stage, options)
    show("failover", {**facts, "at_once": options.at_once, **meanwhile.facts()}, rows)
    sys.stdout.flush()
    os._exit(0)  # tasks of stock pipelines whose request hangs do not end when they are cancelled


if __name__ == "__main__":
    asyncio.run(main())
