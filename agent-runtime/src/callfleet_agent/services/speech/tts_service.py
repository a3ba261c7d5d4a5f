"""TTSService over one voice."""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from concurrent.futures import Executor
from contextlib import aclosing
from typing import Any, Final

from callfleet.v1 import common_pb2
from callfleet_agent.audio import Pcm, Pcm8k
from callfleet_agent.audio.g711 import Law, encode
from callfleet_agent.audio.resample import SpeechResampler
from callfleet_agent.services.errors import (
    EngineFailedError,
    InvalidRequestError,
    NotFoundError,
    Violation,
)
from callfleet_agent.services.inputs.speech import PCMA, PCMU, Sentence, VoiceChoice
from callfleet_agent.services.sound import KINDS
from callfleet_agent.services.speech.load import Load
from callfleet_agent.services.speech.ports import Voice
from callfleet_agent.services.synthesis import FORMATS
from callfleet_agent.services.voice_activity import applied

CHUNK_S: Final = 0.2
_LAWS: Final = {PCMU: Law.PCMU, PCMA: Law.PCMA}


class TtsService:
    """Streams the audio as it is made."""

    def __init__(self, name: str, voice: Voice, load: Load, executor: Executor) -> None:
        self._name = name
        self._voice = voice
        self._load = load
        self._executor = executor

    async def SynthesizeText(  # noqa: N802
        self, given: Sentence, _: Any
    ) -> AsyncIterator[common_pb2.AudioChunk]:
        """Audio as it is made, and an empty chunk at its end."""
        if not given.text.strip():
            raise InvalidRequestError(Violation("text", "must not be empty"))
        rate = KINDS[given.sample_rate]
        async with self._load.request() as clock:
            sent = 0
            async with aclosing(self._sound(given.text, given.speed, rate)) as sounds:
                async for sound in sounds:
                    clock.first_result()
                    yield _chunk(given, sound, sent)
                    sent += 1
            end = _chunk(given, rate(b""), sent)
            end.end_of_utterance = True
            yield end

    async def SelectVoice(  # noqa: N802
        self, given: VoiceChoice, _: Any
    ) -> common_pb2.ConfigurationResponse:
        """Whether it is the one that is here."""
        if given.voice != self._name:
            raise NotFoundError("VOICE_NOT_FOUND", "this server has one voice")
        return applied("the voice is chosen")

    async def _sound(self, text: str, speed: float, rate: type[Pcm]) -> AsyncGenerator[Pcm, None]:
        loop = asyncio.get_running_loop()
        pieces = iter(self._voice.speak(text, speed))
        resampler: SpeechResampler[Any] | None = None
        while True:
            began = time.monotonic()
            try:
                piece = await loop.run_in_executor(self._executor, _next, pieces)
            except RuntimeError as error:
                raise EngineFailedError("the engine did not speak") from error
            if piece is None:
                break
            spent_s = time.monotonic() - began
            self._load.real_time_factor.observe(spent_s / max(piece.seconds, 0.001))
            if resampler is None:
                resampler = SpeechResampler(piece.rate, rate)
            for sound in _cut(resampler.process(piece)):
                yield sound
        if resampler is not None:
            for sound in _cut(resampler.flush()):
                yield sound


def _next(pieces: Iterator[Pcm]) -> Pcm | None:
    return next(pieces, None)


def _cut(sound: Pcm) -> Iterator[Pcm]:
    step = int(CHUNK_S * sound.rate)
    for start in range(0, len(sound), step):
        yield sound.slice(start, start + step)


def _chunk(given: Sentence, sound: Pcm, number: int) -> common_pb2.AudioChunk:
    law = _LAWS.get(given.format)
    return common_pb2.AudioChunk(
        audio_data=encode(Pcm8k(sound.data), law) if law is not None else sound.data,
        sample_rate=sound.rate,
        format=FORMATS[given.format],
        session_id=str(given.session_id),
        sequence_number=number,
    )
