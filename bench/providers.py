"""What each engine that runs here costs: first result, real-time factor, CPU and memory.

    python bench/providers.py [--quick] [--streams 1 5 20] [--rounds 3] [--json FILE]
    python bench/providers.py --markdown FILE     the table of docs/pools.md, from such a file

Sphinx, espeak, silero and the rules are the embedded ones, with their real models. Whisper, vosk
and piper are the real servers (hack/engines), and llamacpp is llama-server where one is on PATH,
with models of a few kilobytes: their figures are what serving itself costs, not a model.

So many streams at once recognise one question, or speak one sentence, or answer, each a few times.
`first ms` is until the first sound, the first piece of an answer, or from the end of speech to the
text. `real-time factor`: the time that a stream's sound took for each second of it, with the
others at the same time; over 1 it falls behind. `CPU ms for each` second of sound, or answer, is
of all the engine's processes. MiB are the most that was seen while the streams ran, with what
processes share divided among them; for the embedded engines, with the program around them.
"""

import argparse
import asyncio
import json
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from bench.engines.markdown import table
from bench.engines.running import ENGINES, LIMIT_S, Running
from bench.engines.work import QUESTION, SOUND, Done
from bench.meter import Meter
from bench.report import Meanwhile, commit, machine, percentile, show

from callfleet_agent.pipeline.synthesiser_espeak import EspeakSynthesiser
from callfleet_agent.providers import ProviderError

LOOK_S = 0.25


async def most_memory(meter: Meter, over: asyncio.Event) -> float:
    """MiB, looked at again and again."""
    most = 0.0
    while not over.is_set():
        most = max(most, meter.memory().pss / 1024)
        await asyncio.wait({asyncio.ensure_future(over.wait())}, timeout=LOOK_S)
    return most


async def row(name: str, engine: Running, streams: int, rounds: int) -> dict[str, Any]:
    """So many streams at once, a few times."""
    await engine.once()
    over = asyncio.Event()
    looking = asyncio.create_task(most_memory(engine.meter, over))
    await asyncio.sleep(0)
    cpu, began = engine.meter.cpu_s(), time.monotonic()

    async def stream() -> list[Done | None]:
        return [await _or_none(engine) for _ in range(rounds)]

    asked = [done for each in await asyncio.gather(*(stream() for _ in range(streams)))
             for done in each]  # fmt: skip
    found = [done for done in asked if done is not None]
    wall_s, spent = time.monotonic() - began, engine.meter.cpu_s() - cpu
    over.set()
    if not found:
        raise SystemExit(f"{name} answered none of {len(asked)} requests")
    firsts, amount = [done.first_s * 1000 for done in found], sum(done.amount for done in found)
    return {
        "engine": name,
        "streams": streams,
        "first p50 ms": percentile(firsts, 50),
        "first p95 ms": percentile(firsts, 95),
        "real-time factor": wall_s * streams / amount if engine.each == SOUND else None,
        "CPU ms for each": 1000 * spent / amount,
        "each": engine.each,
        "MiB": await looking,
        "too slow": len(asked) - len(found),
    }


async def _or_none(engine: Running) -> Done | None:
    """None when the engine gave up: on a busy machine it has limits of its own."""
    try:
        return await engine.once()
    except ProviderError:
        return None


async def measure(streams: list[int], rounds: int) -> list[dict[str, Any]]:
    """Every engine that is here, one after the other."""
    rows: list[dict[str, Any]] = []
    sound = await EspeakSynthesiser("en-gb", 150, limit_s=LIMIT_S).speech(QUESTION, private=True)
    with TemporaryDirectory() as folder:
        for name, started in ENGINES.items():
            place = Path(folder) / name
            place.mkdir()
            try:
                async with started(sound, place) as engine:
                    rows += [await row(name, engine, number, rounds) for number in streams]
            except pytest.skip.Exception as absent:
                print(f"{name} is left out: {absent}")
    return rows


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="one stream, one round")
    parser.add_argument("--streams", type=int, nargs="+", default=[1, 5, 20])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there, too")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="print a table of that file")
    options = parser.parse_args()
    if options.markdown:
        print(table(json.loads(options.markdown.read_text(encoding="utf-8"))["rows"]))
        return
    facts, meanwhile = machine(), Meanwhile()
    streams, rounds = ([1], 1) if options.quick else (options.streams, options.rounds)
    rows = asyncio.run(measure(streams, rounds))
    facts |= meanwhile.facts()
    if options.json:
        found = {"bench": "providers", "commit": commit(), **facts, "rows": rows}
        options.json.write_text(json.dumps(found, indent=2), encoding="utf-8")
    show("providers", facts, rows)


if __name__ == "__main__":
    main()
