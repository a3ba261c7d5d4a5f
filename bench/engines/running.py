"""Engines that run: the embedded ones in this process, others as the servers that pools have."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.engines.work import (
    ANSWER,
    SOUND,
    Once,
    answering,
    hearing,
    recognising,
    ruling,
    speaking,
)
from bench.meter import Meter

from callfleet_agent.audio import Pcm8k
from callfleet_agent.dialog import Dialog
from callfleet_agent.pipeline.embedded import EspeakEngine, SphinxEngine
from callfleet_agent.pipeline.synthesiser_espeak import EspeakSynthesiser
from callfleet_agent.pipeline.transcriber_sphinx import SphinxTranscriber
from callfleet_agent.providers.settings import EngineSettings
from callfleet_agent.providers.synthesiser_grpc import GrpcSynthesiser
from callfleet_agent.providers.transcriber_grpc import GrpcTranscriber
from integration.real_engines import python_of, serving, tiny_model
from integration.real_llama import serving as llama_server

START_S: Final = 300.0  # on a busy machine
LIMIT_S: Final = 60.0  # what an engine takes is measured, however long


@dataclass(frozen=True, slots=True)
class Running:
    """What is done once, in what it counts, and the processes that do it."""

    once: Once
    each: str
    meter: Meter


@asynccontextmanager
async def sphinx(sound: Pcm8k, _: Path) -> AsyncIterator[Running]:
    """The pool of decoders of a worker."""
    engine = SphinxEngine(SphinxTranscriber(2, 5, limit_s=LIMIT_S))
    await engine.start(Dialog().grammars())
    try:
        yield Running(recognising(engine, sound), SOUND, Meter.of(None))
    finally:
        await engine.stop()


@asynccontextmanager
async def espeak(_sound: Pcm8k, _: Path) -> AsyncIterator[Running]:
    """A program for each sentence."""
    engine = EspeakEngine(EspeakSynthesiser("en-us", 165, limit_s=LIMIT_S))
    yield Running(speaking(engine), SOUND, Meter.of(None))


@asynccontextmanager
async def rules(_sound: Pcm8k, _: Path) -> AsyncIterator[Running]:
    """The dialog alone."""
    yield Running(ruling(), ANSWER, Meter.of(None))


@asynccontextmanager
async def silero(sound: Pcm8k, _: Path) -> AsyncIterator[Running]:
    """One model for all streams, with every window of the utterance."""
    yield Running(hearing(sound), SOUND, Meter.of(None))


def recogniser(name: str) -> Callable[[Pcm8k, Path], AbstractAsyncContextManager[Running]]:
    """`callfleet serve asr` with a tiny model."""

    @asynccontextmanager
    async def started(sound: Pcm8k, folder: Path) -> AsyncIterator[Running]:
        model = tiny_model(name, folder)
        async with serving(
            "asr", "--engine", name, "--model", str(model), limit_s=START_S
        ) as server:
            engine = GrpcTranscriber(EngineSettings(engine=name, endpoints=(server.endpoint,)))
            try:
                yield Running(recognising(engine, sound), SOUND, Meter.of(server.process.pid))
            finally:
                await engine.stop()

    return started


@asynccontextmanager
async def piper(_sound: Pcm8k, folder: Path) -> AsyncIterator[Running]:
    """`callfleet serve tts` with a tiny voice."""
    model = tiny_model("piper", folder) / "hum.onnx"
    python = str(python_of("piper"))
    told = ("--model", str(model), "--piper-python", python)
    async with serving("tts", *told, limit_s=START_S) as server:
        engine = GrpcSynthesiser(EngineSettings(engine="piper", endpoints=(server.endpoint,)))
        try:
            yield Running(speaking(engine), SOUND, Meter.of(server.process.pid))
        finally:
            await engine.stop()


@asynccontextmanager
async def llamacpp(_sound: Pcm8k, folder: Path) -> AsyncIterator[Running]:
    """llama-server with a tiny model, as a pool starts it."""
    async with llama_server(folder) as server:
        engine = server.engine()
        try:
            yield Running(answering(engine), ANSWER, Meter.of(server.process.pid))
        finally:
            await engine.stop()


ENGINES: Final = {
    "sphinx": sphinx,
    "espeak": espeak,
    "rules": rules,
    "silero": silero,
    "whisper": recogniser("whisper"),
    "vosk": recogniser("vosk"),
    "piper": piper,
    "llamacpp": llamacpp,
}
