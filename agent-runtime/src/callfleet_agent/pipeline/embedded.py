"""The engines inside the agent, behind the protocols of the chain."""

from collections.abc import AsyncIterator, Sequence
from typing import Any

from callfleet_agent.audio import Pcm8k
from callfleet_agent.chain import Fault
from callfleet_agent.dialog import Grammar
from callfleet_agent.pipeline.settings import WorkerSettings
from callfleet_agent.pipeline.synthesiser_espeak import EspeakSynthesiser
from callfleet_agent.pipeline.transcriber_sphinx import SphinxTranscriber, SphinxUtterance
from callfleet_agent.providers.engines import Adapters
from callfleet_agent.providers.errors import ProviderError, SynthesiserError, TranscriberError
from callfleet_agent.providers.ports import Connected, Recognition
from callfleet_agent.providers.settings import EngineSettings
from callfleet_operator.model.engines import Engine, Stage

DEFAULTS = {Stage.ASR: Engine.SPHINX, Stage.TTS: Engine.ESPEAK}


class SphinxTranscription:
    """One utterance in a decoder process."""

    def __init__(self, utterance: SphinxUtterance) -> None:
        self._utterance = utterance

    def feed(self, sound: Pcm8k) -> None:
        self._utterance.feed(sound)

    async def recognise(self, connected: Connected) -> Recognition:
        connected()
        try:
            return await self._utterance.recognise()
        except TranscriberError:
            raise ProviderError(Fault.SERVER_ERROR) from None

    def close(self) -> None:
        self._utterance.close()


class SphinxEngine:
    """PocketSphinx."""

    def __init__(self, transcriber: SphinxTranscriber) -> None:
        self._transcriber = transcriber

    async def start(self, grammars: Sequence[Grammar]) -> None:
        await self._transcriber.start(grammars)

    def begin(self, grammar: Grammar, channel: tuple[float, ...]) -> SphinxTranscription:
        return SphinxTranscription(self._transcriber.begin(grammar, channel))

    async def stop(self) -> None:
        await self._transcriber.stop()


class EspeakEngine:
    """espeak-ng, a sentence as a whole."""

    def __init__(self, synthesiser: EspeakSynthesiser) -> None:
        self._synthesiser = synthesiser

    async def start(self, sentences: Sequence[str]) -> None:
        await self._synthesiser.start(sentences)

    async def speech(
        self, sentence: str, connected: Connected, *, private: bool
    ) -> AsyncIterator[Pcm8k]:
        connected()
        try:
            yield await self._synthesiser.speech(sentence, private=private)
        except SynthesiserError:
            raise ProviderError(Fault.SERVER_ERROR) from None

    async def stop(self) -> None:
        await self._synthesiser.stop()


def adapters(settings: WorkerSettings) -> Adapters:
    """What makes them, for a worker of these settings."""

    def sphinx(_: EngineSettings) -> Any:
        return SphinxEngine(
            SphinxTranscriber(
                settings.decoder_processes, settings.decoders_in_each, settings.decoder_s
            )
        )

    def espeak(told: EngineSettings) -> Any:
        words_per_minute = round(settings.words_per_minute * (told.speed or 1.0))
        return EspeakEngine(EspeakSynthesiser(told.voice or settings.voice, words_per_minute))

    return {(Stage.ASR, Engine.SPHINX): sphinx, (Stage.TTS, Engine.ESPEAK): espeak}
