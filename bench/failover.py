"""The silence that a caller hears when the first voice of a chain dies, beside stock Pipecat.

    python bench/failover.py [--quick] [--faults 100]

Two servers speak OpenAI's protocol on loopback: the first has the fault, the second is well. Each
answer is one sentence of 0.8 s, 80 ms to its first byte. A line plays what comes in real time;
`more silence` is what it was silent until the whole sentence had been heard, less the same of an
answer without a fault in the same run. Each fault meets a closed circuit. The baseline is Pipecat's
ServiceSwitcher in its failover strategy with two of Pipecat's own OpenAI services. An answer that
has not been heard whole after four seconds is `lost`. Aim: p95 under 400 ms.
"""

import argparse
import asyncio
import os
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from bench.report import machine, percentile, show
from pipecat.frames.frames import EndFrame, Frame, TTSAudioRawFrame, TTSSpeakFrame
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.service_switcher import ServiceSwitcher, ServiceSwitcherStrategyFailover
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.services.openai.tts import OpenAITTSService
from pipecat.workers.runner import WorkerRunner

import callfleet_agent.pipeline  # noqa: F401 - quietens Pipecat before it is imported
from callfleet_agent.chain import Limits, Member, MemberSettings
from callfleet_agent.providers import SynthesiserChain, SynthesiserError
from callfleet_agent.providers.lineup import Lineup, Seat
from callfleet_agent.providers.settings import EngineSettings
from callfleet_agent.providers.synthesiser_openai import OpenAISynthesiser
from fakes.model_server import FakeOpenAI, Trouble, sine

SENTENCE = "Your card is on its way."
SPEECH_S, FIRST_S, CREDIT_S, LOST_S = 0.8, 0.08, 0.2, 4.0
LIMITS = Limits(connect_s=0.5, first_s=1.5, gap_s=0.4, total_s=10.0)
KINDS: dict[str, Trouble | None] = {
    "none": None,
    "refused": None,  # the server is stopped
    "500": Trouble.error(500),
    "401": Trouble.error(401),
    "429": Trouble.error(429, "1"),
    "no first byte": Trouble.stall(0),
    "cut in the answer": Trouble.cut(4),
    "stall in the answer": Trouble.stall(4),
}
Answer = Callable[[FakeOpenAI, FakeOpenAI], Awaitable[float | None]]


@dataclass
class Line:
    """Plays pieces in real time and counts the silence."""

    began: float
    silence_s: float = 0.0
    heard_s: float = 0.0
    _until: float = field(default=0.0, init=False)

    def __post_init__(self) -> None:
        self._until = self.began

    def play(self, seconds: float, now: float, *, anew: bool = False) -> float:
        """A piece; when the line has only its credit left to play."""
        start = max(now, self._until)
        self.silence_s += start - self._until
        self._until = start + seconds
        self.heard_s = seconds if anew else self.heard_s + seconds
        return self._until - CREDIT_S


async def ours(first: FakeOpenAI, second: FakeOpenAI) -> float | None:
    """Our chain; the silence in seconds, None where the sentence was lost."""
    seats = []
    for name, server in (("first", first), ("second", second)):
        engine = OpenAISynthesiser(EngineSettings(engine="openai", endpoints=(server.base,)))
        settings = MemberSettings(name=name, limits=LIMITS, hedge_percentile=95)
        member = Member(settings)
        for _ in range(10):
            member.first(FIRST_S + 0.02)
        seats.append(Seat(member, engine))
    chain, loop = Lineup(tuple(seats)), asyncio.get_running_loop()
    line = Line(loop.time())
    try:
        speech = SynthesiserChain(lambda: chain).speech(SENTENCE, private=True)
        async for piece in speech.pieces():
            until = line.play(piece.sound.seconds, loop.time(), anew=piece.anew)
            await asyncio.sleep(max(0.0, until - loop.time()))
    except SynthesiserError:
        return None
    finally:
        for seat in seats:
            await seat.engine.stop()
    return line.silence_s if line.heard_s > SPEECH_S - 0.05 else None


class Ear(FrameProcessor):
    """The end of the stock pipeline."""

    def __init__(self, line: Line) -> None:
        super().__init__()
        self.line = line
        self.whole = asyncio.Event()

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if isinstance(frame, TTSAudioRawFrame):
            seconds = len(frame.audio) / 2 / frame.sample_rate
            self.line.play(seconds, asyncio.get_running_loop().time())
            if self.line.heard_s > SPEECH_S - 0.05:
                self.whole.set()
        await self.push_frame(frame, direction)


async def stock(first: FakeOpenAI, second: FakeOpenAI) -> float | None:
    """Pipecat's own services behind its ServiceSwitcher."""
    services: list[FrameProcessor] = [
        OpenAITTSService(api_key="none", base_url=server.base, sample_rate=24000)
        for server in (first, second)
    ]
    loop = asyncio.get_running_loop()
    ear = Ear(Line(loop.time()))
    switcher: Any = ServiceSwitcher(services, ServiceSwitcherStrategyFailover)
    worker = PipelineWorker(
        Pipeline([switcher, ear]),
        params=PipelineParams(audio_out_sample_rate=24000),
        enable_rtvi=False,
        enable_turn_tracking=False,
        cancel_on_idle_timeout=False,
        idle_timeout_secs=None,
        check_dangling_tasks=False,
    )
    runner = WorkerRunner(handle_sigint=False, handle_sigterm=False, check_dangling_tasks=False)
    await runner.add_workers(worker)
    running = asyncio.create_task(runner.run())
    try:
        await asyncio.sleep(0.1)  # it starts; not counted
        ear.line = Line(loop.time())
        await worker.queue_frame(TTSSpeakFrame(SENTENCE))
        async with asyncio.timeout(LOST_S):
            await ear.whole.wait()
    except TimeoutError:
        return None
    else:
        return ear.line.silence_s
    finally:
        await worker.queue_frame(EndFrame())
        await worker.cancel()
        await asyncio.wait({running}, timeout=1)
        running.cancel()


async def several(answer: Answer, kind: str, faults: int, at_once: int) -> list[float | None]:
    """So many answers with this fault."""
    async with FakeOpenAI() as first, FakeOpenAI() as second:
        for server in (first, second):
            server.speech, server.first_s = sine(SPEECH_S, 24000), FIRST_S
            server.gap_s = 0.02
        first.trouble = KINDS[kind]
        if kind == "refused":
            await first.stop()
        found: list[float | None] = []
        while len(found) < faults:
            some = min(at_once, faults - len(found))
            found += await asyncio.gather(*(answer(first, second) for _ in range(some)))
    return found


def row(who: str, kind: str, found: list[float | None], normal_s: float) -> dict[str, object]:
    """One row of the table."""
    more = [(silence - normal_s) * 1000 for silence in found if silence is not None]
    return {
        "chain": who,
        "fault": kind,
        "answers": len(found),
        "lost": len(found) - len(more),
        "more silence p50 ms": percentile(more, 50) if more else float("inf"),
        "more silence p95 ms": percentile(more, 95) if more else float("inf"),
    }


async def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="a few faults")
    parser.add_argument("--faults", type=int, default=100)
    parser.add_argument("--at-once", type=int, default=10)
    options = parser.parse_args()
    faults = 2 if options.quick else options.faults
    facts, rows = machine(), []
    for who, answer in (("ours", ours), ("stock Pipecat", stock)):
        normal_s = 0.0
        for kind in KINDS:
            found = await several(answer, kind, faults, options.at_once)
            if kind == "none":
                whole = [silence for silence in found if silence is not None]
                normal_s = percentile(whole, 50) if whole else 0.0
            rows.append(row(who, kind, found, normal_s))
    show("failover", {**facts, "gap limit ms": LIMITS.gap_s * 1000}, rows)
    sys.stdout.flush()
    os._exit(0)  # tasks of stock pipelines whose request hangs do not end when they are cancelled


if __name__ == "__main__":
    asyncio.run(main())
