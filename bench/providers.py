"""What each engine that runs here costs: first result, real-time factor, CPU and memory.

    python bench/providers.py [--quick] [--streams 1 5 20] [--rounds 3]

Sphinx and espeak are the embedded ones with their real models. Whisper and piper are the real
servers (hack/engines) with models of a few kilobytes, so that their figures are what serving itself
costs, not a model. So many streams at once recognise one question, or speak one sentence, each a
few times. `first ms` is until the first sound, or from the end of speech to the text. CPU and
memory are those of the engine's processes, for espeak of this one and its children.
"""

import argparse
import asyncio
import contextlib
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from bench.report import machine, percentile, show

from callfleet_agent.audio import Pcm8k
from callfleet_agent.dialog import Dialog
from callfleet_agent.pipeline.embedded import EspeakEngine, SphinxEngine
from callfleet_agent.pipeline.synthesiser_espeak import EspeakSynthesiser
from callfleet_agent.pipeline.transcriber_sphinx import SphinxTranscriber
from callfleet_agent.providers.ports import SynthesiserEngine, TranscriberEngine
from callfleet_agent.providers.settings import EngineSettings
from callfleet_agent.providers.synthesiser_grpc import GrpcSynthesiser
from callfleet_agent.providers.transcriber_grpc import GrpcTranscriber
from integration.real_engines import python_of, serving, tiny_model

QUESTION, SENTENCE = "where is my credit card", "Your card was shipped on monday, with royal mail."
GRAMMAR = Dialog().grammars()[0]
Once = Callable[[], Awaitable[tuple[float, float]]]  # seconds to the first result; of sound


def nothing() -> None:
    """A connection stands."""


def recognising(engine: TranscriberEngine, sound: Pcm8k) -> Once:
    """One utterance, fed at once."""

    async def once() -> tuple[float, float]:
        utterance = engine.begin(GRAMMAR, ())
        utterance.feed(sound)
        began = time.monotonic()
        await utterance.recognise(nothing)
        utterance.close()
        return time.monotonic() - began, sound.seconds

    return once


def speaking(engine: SynthesiserEngine) -> Once:
    """One sentence."""

    async def once() -> tuple[float, float]:
        began, first, seconds = time.monotonic(), 0.0, 0.0
        async for sound in engine.speech(SENTENCE, nothing, private=True):
            first = first or time.monotonic() - began
            seconds += sound.seconds
        return first, seconds

    return once


@asynccontextmanager
async def engines(name: str, sound: Pcm8k, folder: Path) -> AsyncIterator[tuple[Once, int]]:
    """One engine: what to do once, and the process that is watched with its children."""
    own = psutil.Process().pid
    if name == "sphinx":
        sphinx = SphinxEngine(SphinxTranscriber(2, 5))
        await sphinx.start(Dialog().grammars())
        yield recognising(sphinx, sound), own
        await sphinx.stop()
    elif name == "espeak":
        yield speaking(EspeakEngine(EspeakSynthesiser("en-us", 165))), own
    elif name == "whisper":
        model = tiny_model("whisper", folder / "whisper")
        async with serving("asr", "--engine", "whisper", "--model", str(model)) as server:
            told = EngineSettings(engine="whisper", endpoints=(server.endpoint,))
            whisper = GrpcTranscriber(told)
            yield recognising(whisper, sound), server.process.pid
            await whisper.stop()
    else:
        model = tiny_model("piper", folder / "piper") / "hum.onnx"
        python = str(python_of("piper"))
        async with serving("tts", "--model", str(model), "--piper-python", python) as server:
            piper = GrpcSynthesiser(EngineSettings(engine="piper", endpoints=(server.endpoint,)))
            yield speaking(piper), server.process.pid
            await piper.stop()


def used(pid: int) -> tuple[float, float]:
    """CPU seconds and MiB of a process and its children, those that have ended included."""
    seconds, memory = 0.0, 0.0
    root = psutil.Process(pid)
    for process in (root, *root.children(recursive=True)):
        with contextlib.suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            seconds += times.user + times.system
            memory += process.memory_info().rss / 2**20
    ended = root.cpu_times()
    return seconds + ended.children_user + ended.children_system, memory


async def row(name: str, once: Once, pid: int, streams: int, rounds: int) -> dict[str, object]:
    """So many streams at once, a few times."""
    await once()
    cpu, _ = used(pid)
    began = time.monotonic()

    async def stream() -> list[tuple[float, float]]:
        return [await once() for _ in range(rounds)]

    found = [pair for pairs in await asyncio.gather(*(stream() for _ in range(streams)))
             for pair in pairs]  # fmt: skip
    wall_s, (after, memory) = time.monotonic() - began, used(pid)
    firsts, sound_s = [first * 1000 for first, _ in found], sum(seconds for _, seconds in found)
    return {
        "engine": name,
        "streams": streams,
        "first p50 ms": percentile(firsts, 50),
        "first p95 ms": percentile(firsts, 95),
        "real-time factor of a stream": f"{wall_s * streams / sound_s:.3f}",
        "CPU s a second of sound": f"{(after - cpu) / sound_s:.3f}",
        "MiB": memory,
    }


async def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="one stream, one round")
    parser.add_argument("--streams", type=int, nargs="+", default=[1, 5, 20])
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    streams = [1] if options.quick else options.streams
    rounds = 1 if options.quick else options.rounds
    sound = await EspeakSynthesiser("en-gb", 150).speech(QUESTION, private=True)
    facts, rows = machine(), []
    with TemporaryDirectory() as folder:
        for name in ("sphinx", "espeak", "whisper", "piper"):
            try:
                async with engines(name, sound, Path(folder)) as (once, pid):
                    rows += [await row(name, once, pid, number, rounds) for number in streams]
            except pytest.skip.Exception as absent:
                print(f"{name} is left out: {absent}")
    show("providers", facts, rows)


if __name__ == "__main__":
    asyncio.run(main())
