"""Attacks on the language model: how many are seen, what leaves when none is, and what it costs.

    python bench/injection.py [--quick] [--benign FILE.csv]

`seen`: attacks (or callers) of tests/vectors/injection whose words are taken for an attack and kept
from the model. `known` attacks were there while the signs were written, `held out` ones were not.
`--benign` adds real questions of bank customers, one a line with a column `text` (such as the test
set of Banking77). `leaked`: a model obeys every attack, and nothing is taken for one; what a caller
then heard, or a bank did, without leave. `ms`: CPU time of one inspection of a caller's words, and
of one sentence of an answer.
"""

import argparse
import asyncio
import csv
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from bench.report import machine, percentile, show

import callfleet_agent.pipeline  # noqa: F401 - quietens Pipecat before it is imported
from callfleet_agent.dialog import Heard
from callfleet_agent.guard import AnswerFilter, Speakable, clean, inspect
from fakes.obedient_model import FakeObedientModel
from injection_rig import OWN, Line, WatchedBank, leaked, vectors

TRIES = 6
INSTRUCTIONS = "You answer the telephone for Example Bank. You help callers with their card."


def held(text: str) -> bool:
    """Whether the words are taken for an attack."""
    return inspect(clean(text), text).held


def seen(name: str, texts: Iterable[list[str]]) -> dict[str, Any]:
    """A row: of so many, how many are held back."""
    found = [any(map(held, turns)) for turns in texts]
    share = 100 * sum(found) / len(found)
    return {"what": name, "of": len(found), "hits": sum(found), "percent": share, "ms_p50": "-",
            "ms_p99": "-"}  # fmt: skip


def attacks(name: str) -> list[list[str]]:
    """The turns of each attack that is in a caller's words."""
    records = {"indirect", "facts", "history"}
    return [one["turns"] for one in vectors(name) if one["technique"] not in records]


def callers(name: str) -> list[list[str]]:
    """What callers say."""
    return [[one["text"]] for one in vectors(name)]


def timed(name: str, work: Callable[[str], object], texts: list[str]) -> dict[str, Any]:
    """A row: the CPU time of one call."""
    work(texts[0])
    taken = []
    for text in texts:
        began = time.process_time()
        work(text)
        taken.append((time.process_time() - began) * 1000)
    return {"what": name, "of": len(texts), "hits": 0, "percent": 0.0,
            "ms_p50": percentile(taken, 50), "ms_p99": percentile(taken, 99)}  # fmt: skip


async def obeyed(every: list[dict[str, Any]]) -> dict[str, Any]:
    """A row: attacks after which something left that should not have."""
    leaks = asked = 0
    async with FakeObedientModel() as model:
        for attack in every:
            bank = WatchedBank(attack.get("bank", {}))
            line = Line(model, bank, inspecting=False)
            model.goal, model.requests = attack["goal"], []
            await line.opened(attack["state"])
            for _ in range(TRIES):
                for turn in attack["turns"]:
                    await line.takes(Heard(turn))
            await line.closed()
            asked += len(model.requests)
            wrong = leaked(line.said) or set(bank.asked) - {OWN} or bank.transactions
            leaks += bool(wrong)
    share = 100 * leaks / len(every)
    return {"what": f"leaked of attacks obeyed ({asked} answers)", "of": len(every), "hits": leaks,
            "percent": share, "ms_p50": "-", "ms_p99": "-"}  # fmt: skip


def main() -> None:
    """Runs it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--quick", action="store_true", help="every tenth attack is obeyed")
    parser.add_argument("--benign", type=Path, help="CSV with real questions")
    options = parser.parse_args()
    rows = [
        seen("seen: known attacks", attacks("attacks")),
        seen("seen: held out attacks", attacks("attacks_held_out")),
        seen("seen: known callers", callers("benign")),
        seen("seen: held out callers", callers("benign_held_out")),
    ]
    if options.benign:
        with options.benign.open(encoding="utf-8", newline="") as file:
            texts = [[row["text"]] for row in csv.DictReader(file)]
        rows.append(seen(f"seen: {options.benign.name}", texts))
    every = vectors("attacks") + vectors("attacks_held_out")
    rows.append(asyncio.run(obeyed(every[::10] if options.quick else every)))
    said = [turns[0] for turns in callers("benign")]
    rows.append(timed("an inspection", lambda text: inspect(clean(text), text), said))
    answers = [one["text"] for one in vectors("answers") if one["language"] == "en"]

    def judge(text: str) -> None:
        AnswerFilter(Speakable("en", INSTRUCTIONS)).reason(text)

    rows.append(timed("a sentence judged", judge, answers * 4))
    show("injection", machine(), rows)


if __name__ == "__main__":
    main()
