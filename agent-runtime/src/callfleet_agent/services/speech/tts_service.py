"""TTSService over one voice."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import Executor
from typing import Any, Final
from uuid import uuid4

import grpc
import grpc.aio

from callfleet.v1 import common_pb2, tts_pb2, tts_pb2_grpc
from callfleet_agent.audio import Pcm, Pcm8k
from callfleet_agent.audio.g711 import Law, encode
from callfleet_agent.audio.resample import SpeechResampler
from callfleet_agent.audio.wav import RATES
from callfleet_agent.services.speech.load import Load
from callfleet_agent.services.speech.ports import Voice

MOST_TEXT: Final = 8192
CHUNK_S: Final = 0.2
_LAWS = {common_pb2.AUDIO_FORMAT_PCMU: Law.PCMU, common_pb2.AUDIO_FORMAT_PCMA: Law.PCMA}


class TtsService(tts_pb2_grpc.TTSServiceServicer):
    """Streams the audio as it is made."""

    def __init__(self, name: str, voice: Voice, load: Load, executor: Executor) -> None:
        self._name = name
        self._voice = voice
        self._load = load
        self._executor = executor

    async def SynthesizeText(  # noqa: N802
        self, request: tts_pb2.TextSynthesisRequest, context: Any
    ) -> AsyncIterator[common_pb2.AudioChunk]:
        await context.send_initial_metadata(())
        if (wrong := _wrong(request)) is not None:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, wrong)
        correlation = request.correlation_id or str(uuid4())
        rate = RATES[request.sample_rate]
        async with self._load.request() as clock:
            sent = 0
            try:
                async for sound in self._sound(request.text, request.speed or 1.0, rate):
                    clock.first_result()
                    yield _chunk(request, sound, sent, correlation)
                    sent += 1
            except RuntimeError:
                await context.abort(grpc.StatusCode.INTERNAL, "the engine did not speak")
            end = _chunk(request, rate(b""), sent, correlation)
            end.end_of_utterance = True
            yield end

    async def SelectVoice(  # noqa: N802
        self, request: tts_pb2.VoiceSelectionRequest, context: Any
    ) -> common_pb2.ConfigurationResponse:
        if request.voice not in {"", self._name}:
            await context.abort(grpc.StatusCode.NOT_FOUND, "voice: this server has one voice")
        return common_pb2.ConfigurationResponse(
            applied=True, correlation_id=request.correlation_id or str(uuid4())
        )

    async def _sound(self, text: str, speed: float, rate: type[Pcm]) -> AsyncIterator[Pcm]:
        loop = asyncio.get_running_loop()
        pieces = iter(self._voice.speak(text, speed))
        resampler: SpeechResampler[Any] | None = None
        while True:
            began = time.monotonic()
            piece = await loop.run_in_executor(self._executor, _next, pieces)
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


def _wrong(request: tts_pb2.TextSynthesisRequest) -> str | None:
    if not request.text.strip() or len(request.text.encode()) > MOST_TEXT:
        return "text: 1 byte to 8 KiB"
    if request.format == common_pb2.AUDIO_FORMAT_UNSPECIFIED:
        return "format: it is not set"
    if request.sample_rate not in RATES:
        return "sample_rate: 8000, 16000, 22050, 24000 or 48000"
    if request.format in _LAWS and request.sample_rate != Pcm8k.rate:
        return "sample_rate: G.711 has 8000"
    if request.speed and not 0.5 <= request.speed <= 2:
        return "speed: 0.5 to 2"
    return None


def _next(pieces: Iterator[Pcm]) -> Pcm | None:
    return next(pieces, None)


def _cut(sound: Pcm) -> Iterator[Pcm]:
    step = int(CHUNK_S * sound.rate)
    for start in range(0, len(sound), step):
        yield sound.slice(start, start + step)


def _chunk(
    request: tts_pb2.TextSynthesisRequest, sound: Pcm, number: int, correlation: str
) -> common_pb2.AudioChunk:
    law = _LAWS.get(request.format)
    data = encode(Pcm8k(sound.data), law) if law is not None else sound.data
    return common_pb2.AudioChunk(
        audio_data=data,
        sample_rate=sound.rate,
        format=request.format,
        session_id=request.session_id,
        sequence_number=number,
        correlation_id=correlation,
    )
