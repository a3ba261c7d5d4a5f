"""ASRService over one recogniser."""

import asyncio
import time
from collections.abc import AsyncIterator
from concurrent.futures import Executor
from typing import Any, Final
from uuid import uuid4

import grpc
import grpc.aio

from callfleet.v1 import asr_pb2, asr_pb2_grpc, common_pb2
from callfleet_agent.audio import Pcm, Pcm8k, Pcm16k
from callfleet_agent.audio.g711 import Law, decode
from callfleet_agent.audio.resample import SpeechResampler
from callfleet_agent.audio.wav import RATES
from callfleet_agent.services.speech.load import Load, Request
from callfleet_agent.services.speech.ports import Hearing, Recogniser

MOST_BYTES: Final = 1 << 20
LONGEST_S: Final = 60.0
_Kind = asr_pb2.RecognitionResult.Kind
_LAWS = {common_pb2.AUDIO_FORMAT_PCMU: Law.PCMU, common_pb2.AUDIO_FORMAT_PCMA: Law.PCMA}


class AsrService(asr_pb2_grpc.ASRServiceServicer):
    """Streams partial results while somebody speaks, and a final one after."""

    def __init__(self, engine: str, recogniser: Recogniser, load: Load, executor: Executor) -> None:
        self._engine = engine
        self._recogniser = recogniser
        self._load = load
        self._executor = executor

    async def RecognizeSpeech(  # noqa: N802
        self, request_iterator: AsyncIterator[common_pb2.AudioChunk], context: Any
    ) -> AsyncIterator[asr_pb2.RecognitionResult]:
        await context.send_initial_metadata(())
        async with self._load.request() as request:
            stream = _Stream(self, self._recogniser.begin(), request)
            async for chunk in request_iterator:
                if (wrong := stream.take(chunk)) is not None:
                    await context.abort(grpc.StatusCode.INVALID_ARGUMENT, wrong)
                partial = await stream.partial()
                if partial is not None:
                    yield partial
                if chunk.end_of_utterance:
                    break
            yield await stream.final()

    async def SelectProvider(  # noqa: N802
        self, request: common_pb2.ProviderSelectionRequest, context: Any
    ) -> common_pb2.ConfigurationResponse:
        if request.stage != common_pb2.PROVIDER_STAGE_ASR:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "stage: this server does asr")
        if request.provider != self._engine:
            await context.abort(grpc.StatusCode.NOT_FOUND, "provider: this server has one engine")
        return common_pb2.ConfigurationResponse(
            applied=True, correlation_id=request.correlation_id or str(uuid4())
        )

    def result(self, kind: Any, text: str, confidence: float, at_s: float) -> Any:
        """A message."""
        return asr_pb2.RecognitionResult(
            kind=kind,
            text=text,
            confidence=confidence,
            timestamp=round(at_s * 1_000_000),
            provider=self._engine,
            language=self._recogniser.language,
        )

    async def compute(self, work: Any, *arguments: Any) -> Any:
        """In a thread."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._executor, work, *arguments)


class _Stream:
    def __init__(self, service: AsrService, hearing: Hearing, request: Request) -> None:
        self._service = service
        self._hearing = hearing
        self._request = request
        self._resampler: SpeechResampler[Pcm16k] | None = None
        self._kind: type[Pcm] | None = None
        self._ready = Pcm16k(b"")
        self._heard_s = 0.0
        self._spent_s = 0.0
        self._number = 0

    def take(self, chunk: common_pb2.AudioChunk) -> str | None:
        """Takes a chunk; what is wrong with it, or None."""
        if len(chunk.audio_data) > MOST_BYTES:
            return "audio_data: at most 1 MiB in a chunk"
        if chunk.sequence_number != self._number:
            return "sequence_number: a chunk is missing"
        sound = _sound(chunk)
        if isinstance(sound, str):
            return sound
        if self._kind not in {None, type(sound)}:
            return "sample_rate: it changed within the stream"
        self._number += 1
        self._heard_s += sound.seconds
        if self._heard_s > LONGEST_S:
            return f"audio_data: an utterance has at most {LONGEST_S:.0f} s"
        if self._resampler is None:
            self._kind = type(sound)
            self._resampler = SpeechResampler(sound.rate, Pcm16k)
        self._ready = self._ready + self._resampler.process(sound)
        return None

    async def partial(self) -> Any | None:
        sound, self._ready = self._ready, Pcm16k(b"")
        text = await self._timed(self._hearing.partial, sound)
        if text is None:
            return None
        self._request.first_result()
        return self._service.result(_Kind.KIND_PARTIAL, text, 0.0, self._heard_s)

    async def final(self) -> Any:
        if self._resampler is not None:
            await self._timed(self._hearing.partial, self._resampler.flush())
        found = await self._timed(self._hearing.final)
        self._request.first_result()
        self._request.computed(self._spent_s, self._heard_s)
        kind = _Kind.KIND_FINAL if found.text else _Kind.KIND_NO_MATCH
        return self._service.result(kind, found.text, found.confidence, self._heard_s)

    async def _timed(self, work: Any, *arguments: Any) -> Any:
        began = time.monotonic()
        try:
            return await self._service.compute(work, *arguments)
        finally:
            self._spent_s += time.monotonic() - began


def _sound(chunk: common_pb2.AudioChunk) -> Pcm | str:
    """The sound of a chunk, or what is wrong with it."""
    if (law := _LAWS.get(chunk.format)) is not None:
        if chunk.sample_rate != Pcm8k.rate:
            return "sample_rate: G.711 has 8000"
        return decode(chunk.audio_data, law)
    if chunk.format != common_pb2.AUDIO_FORMAT_PCM_S16LE:
        return "format: it is not set"
    kind = RATES.get(chunk.sample_rate)
    if kind is None:
        return "sample_rate: 8000, 16000, 22050, 24000 or 48000"
    if len(chunk.audio_data) & 1:
        return "audio_data: half a sample"
    return kind(chunk.audio_data)
