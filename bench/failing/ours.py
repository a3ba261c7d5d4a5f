"""Our chains of two providers, as a turn asks them."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any, Final

from bench.failing.house import Servers
from bench.failing.kinds import FIRST_S, GAP_S, HEARD, SAID, SENTENCE, SPEECH_S, UTTERANCE_S
from bench.failing.line import Line

from callfleet_agent.audio import Pcm8k
from callfleet_agent.chain import Limits, Member, MemberSettings
from callfleet_agent.dialog import Dialog
from callfleet_agent.providers import (
    Message,
    Prompt,
    ResponderChain,
    ResponderError,
    SynthesiserChain,
    SynthesiserError,
    TranscriberChain,
    TranscriberError,
)
from callfleet_agent.providers.lineup import Lineup, Seat
from callfleet_agent.providers.resuming import USUAL_PACE_S
from callfleet_operator.model.engines import Stage

Answer = Callable[[Servers], Awaitable[float | None]]
"""One turn: the silence in seconds; None where the answer was lost."""

GRAMMAR: Final = Dialog().grammars()[0]
PROMPT: Final = Prompt((Message("user", "Do you sell pizza?"),))
FRAME_S: Final = 0.02


@dataclass(frozen=True)
class Rules:
    """What the first provider of a chain may take. The second one has the limits of a pool that
    says nothing: nobody comes after it. All of them so many `times` as long."""

    hedge_percentile: int
    within_s: float | None = None  # to the first piece and between two; None: the usual limits
    times: float = 1.0

    def limits(self, usual_s: float) -> tuple[Limits, Limits]:
        """Those of the first and of the second; `usual_s` to the first piece."""
        times, within_s = self.times, self.within_s
        usual = Limits(
            connect_s=0.5 * times, first_s=usual_s * times, gap_s=1.5 * times, total_s=10.0 * times
        )
        if within_s is None:
            return usual, usual
        return replace(usual, first_s=within_s * times, gap_s=within_s * times), usual


def ours(rules: Rules) -> Answer:
    """A chain by these rules."""

    async def answer(servers: Servers) -> float | None:
        return await _TURNS[servers.stage](_lineup(servers, rules))

    return answer


def _lineup(servers: Servers, rules: Rules) -> Lineup[Any]:
    limits_of = rules.limits(2.0 if servers.stage is Stage.LLM else 1.5)
    seats = []
    for name, limits, engine in zip(("first", "second"), limits_of, servers.engines, strict=True):
        settings = MemberSettings(name=name, limits=limits, hedge_percentile=rules.hedge_percentile)
        member = Member(settings)
        for _ in range(10):
            member.first(FIRST_S + GAP_S)
            member.next_piece(GAP_S)
        seats.append(Seat(member, engine))
    return Lineup(tuple(seats))


async def _spoken(lineup: Lineup[Any]) -> float | None:
    loop = asyncio.get_running_loop()
    line = Line(loop.time())
    try:
        speech = SynthesiserChain(lambda: lineup).speech(SENTENCE, private=True)
        async for piece in speech.pieces():
            until = line.play(piece.sound.seconds, loop.time(), anew=piece.anew)
            await asyncio.sleep(max(0.0, until - loop.time()))
    except SynthesiserError:
        return None
    return line.silence_s if line.heard_s > SPEECH_S - 0.05 else None


async def _answered(lineup: Lineup[Any]) -> float | None:
    """Its sentences are heard at a usual pace, each as soon as it is whole."""
    loop = asyncio.get_running_loop()
    line, said = Line(loop.time()), []
    try:
        async for sentence in ResponderChain(lambda: lineup).answer(PROMPT):
            said.append(sentence)
            line.play(len(str(sentence)) * USUAL_PACE_S, loop.time())
    except ResponderError:
        return None
    return line.silence_s if tuple(said) == SAID else None


async def _heard(lineup: Lineup[Any]) -> float | None:
    """From the end of the speech to its text."""
    loop = asyncio.get_running_loop()
    utterance = TranscriberChain(lambda: lineup).begin(GRAMMAR, ())
    for _ in range(round(UTTERANCE_S / FRAME_S)):
        utterance.feed(Pcm8k.silence(round(FRAME_S * Pcm8k.rate)))
        await asyncio.sleep(FRAME_S)
    ended = loop.time()
    try:
        found = await utterance.recognise()
    except TranscriberError:
        return None
    finally:
        utterance.close()
    return loop.time() - ended if found.text == HEARD else None


_TURNS: Final = {Stage.TTS: _spoken, Stage.LLM: _answered, Stage.ASR: _heard}
