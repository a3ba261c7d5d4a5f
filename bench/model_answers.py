"""How soon a language model that is there answers, with one and with many callers at once.

    python bench/model_answers.py --url http://HOST:8080/v1 --model NAME [--engine llamacpp]
        [--streams 1 5 20] [--rounds 10] [--quick]

Asked as agents ask, through their adapter, with the prompts of calls: instructions, ten lines that
were said, and a question, some 500 tokens. So many streams ask at the same instant, again and
again. `warm`: each is a call that goes on, with all but the question asked before. `cold`: each
request is of another bank, so that nothing of it is known; in a pool all calls have the
instructions in common. `sentence` is the twelfth piece, which is a token as a rule; a piece may
hold several.
"""

import argparse
import asyncio
import itertools
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench.report import Meanwhile, machine, percentile, show

from callfleet_agent.dialog import DialogSettings, Memory, State, Utterance
from callfleet_agent.pipeline.model_prompt import question_for
from callfleet_agent.providers import Prompt, ProviderError
from callfleet_agent.providers.responder_openai import OpenAIResponder
from callfleet_agent.providers.settings import EngineSettings

TOKENS: Final = 64
SENTENCE: Final = 12
LINES: Final = 9
STORIES: Final = (
    "my card should have been here last week already",
    "I moved to another street and I do not know where you send it",
    "the neighbour says that a letter came but there was no card in it",
    "I am going abroad soon and I need the card before that",
    "somebody told me that the post is on strike",
)
QUESTIONS: Final = (
    "what can I do about it", "can you tell me how long that takes", "whom should I ask",
    "can I pick it up at a branch instead", "what happens if I am not at home",
)  # fmt: skip
REPLY: Final = "I can look up where your new card is, if you like."


Prompts = Callable[[int, int], Prompt]
"""By the call's number and its turn's."""


@dataclass(frozen=True, slots=True)
class Answered:
    """Seconds from the question on, and the pieces that came."""

    first_s: float
    sentence_s: float
    whole_s: float
    pieces: int


def asked(call: int, turn: int, bank: str) -> Prompt:
    """What the model gets in a call's turn; what was said before is the same in all turns."""

    def said(number: int) -> str:
        first, rest = number % len(STORIES), number // len(STORIES)
        again = "so, " * (rest // len(QUESTIONS))
        return f"{again}listen, {STORIES[first]}, {QUESTIONS[rest % len(QUESTIONS)]}"

    lines = tuple(
        Utterance("caller", said(call + number), number + 1)
        if number % 2
        else Utterance("agent", REPLY, number + 1)
        for number in range(LINES)
    )
    settings = DialogSettings(bank_name=bank)
    question = question_for(Memory(state=State.INTENT), said(call + LINES + turn), settings, lines)
    return replace(question.prompt, max_tokens=TOKENS)


async def answered(engine: OpenAIResponder, prompt: Prompt) -> Answered | None:
    """None when it failed."""
    began = time.monotonic()
    try:
        times = [
            time.monotonic() - began
            async for piece in engine.answer(prompt, lambda: None)
            if isinstance(piece, str)
        ]
    except ProviderError:
        return None
    if not times:
        return None
    sentence_s = times[min(SENTENCE, len(times)) - 1]
    return Answered(times[0], sentence_s, time.monotonic() - began, len(times))


async def row(
    engine: OpenAIResponder, kind: str, streams: int, rounds: int, prompts: Prompts
) -> dict[str, Any]:
    """So many streams at the same instant, a few times."""
    began, results = time.monotonic(), []
    for turn in range(1, rounds + 1):
        asking = (answered(engine, prompts(call, turn)) for call in range(streams))
        results += await asyncio.gather(*asking)
    wall_s, good = time.monotonic() - began, [done for done in results if done is not None]
    if not good:
        raise SystemExit(f"none of {len(results)} requests was answered")
    return {
        "prompts": kind,
        "streams": streams,
        **_milliseconds("first", [done.first_s for done in good]),
        **_milliseconds("sentence", [done.sentence_s for done in good]),
        **_milliseconds("answer", [done.whole_s for done in good]),
        "pieces/s": sum(done.pieces for done in good) / wall_s,
        "failed": len(results) - len(good),
    }


def _milliseconds(name: str, seconds: list[float]) -> dict[str, float]:
    return {f"{name} p{rank} ms": 1000 * percentile(seconds, rank) for rank in (50, 95)}


async def measure(engine: OpenAIResponder, streams: list[int], rounds: int) -> list[dict[str, Any]]:
    """Cold and warm rows for each number of streams."""
    banks, rows = itertools.count(time.time_ns()), []  # none that was there in an earlier run

    def cold(call: int, turn: int) -> Prompt:
        return asked(call, turn, f"{next(banks)} Bank")

    def warm(call: int, turn: int) -> Prompt:
        return asked(call, turn, "Example Bank")

    for number in streams:
        rows.append(await row(engine, "cold", number, rounds, cold))
        await asyncio.gather(*(answered(engine, warm(n, 0)) for n in range(number)))
        rows.append(await row(engine, "warm", number, rounds, warm))
    await engine.stop()
    return rows


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--url", required=True, help="ends with /v1")
    parser.add_argument("--model", required=True, help="its name in requests")
    parser.add_argument("--engine", choices=("llamacpp", "vllm", "openai"), default="llamacpp")
    parser.add_argument("--streams", type=int, nargs="+", default=[1, 5, 20])
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--quick", action="store_true", help="one stream, one round")
    options = parser.parse_args()
    engine = OpenAIResponder(
        EngineSettings(engine=options.engine, model=options.model, endpoints=(options.url,))
    )
    facts, meanwhile = machine(), Meanwhile()
    streams, rounds = ([1], 1) if options.quick else (options.streams, options.rounds)
    rows = asyncio.run(measure(engine, streams, rounds))
    show("model_answers", facts | meanwhile.facts(), rows)


if __name__ == "__main__":
    main()
