"""ASRService over one recogniser."""

import asyncio
import time
from collections.abc import AsyncIterator
from concurrent.futures import Executor
from typing import Any, Final

from callfleet.v1 import asr_pb2, common_pb2
from callfleet_agent.audio import Pcm, Pcm16k
from callfleet_agent.audio.g711 import Law, decode
from callfleet_agent.audio.resample import SpeechResampler
from callfleet_agent.services.errors import (
    EngineFailedError,
    InvalidRequestError,
    NotFoundError,
    Violation,
    WrongStateError,
)
from callfleet_agent.services.inputs.speech import PCMA, PCMU, Chunk, ProviderChoice
from callfleet_agent.services.sound import KINDS
from callfleet_agent.services.speech.load import Load, Request
from callfleet_agent.services.speech.ports import Hearing, Recogniser
from callfleet_agent.services.voice_activity import applied
from callfleet_agent.time_limit import at_most

LONGEST_S: Final = 60.0
IDLE_S: Final = 30.0
_Kind = asr_pb2.RecognitionResult.Kind
_LAWS: Final = {PCMU: Law.PCMU, PCMA: Law.PCMA}


class AsrService:
    """Streams partial results while somebody speaks, and a final one after."""

    def __init__(self, engine: str, recogniser: Recogniser, load: Load, executor: Executor) -> None:
        self._engine = engine
        self._recogniser = recogniser
        self._load = load
        self._executor = executor

    async def RecognizeSpeech(  # noqa: N802
        self, chunks: AsyncIterator[Chunk], _: Any
    ) -> AsyncIterator[asr_pb2.RecognitionResult]:
        """One utterance."""
        async with self._load.request() as request:
            stream = _Stream(self, self._recogniser.begin(), request)
            async for chunk in _in_time(chunks):
                stream.take(chunk)
                partial = await stream.partial()
                if partial is not None:
                    yield partial
                if chunk.end_of_utterance:
                    break
            yield await stream.final()

    async def SelectProvider(  # noqa: N802
        self, given: ProviderChoice, _: Any
    ) -> common_pb2.ConfigurationResponse:
        """Whether it is the one that is here."""
        if given.stage != "asr":
            raise InvalidRequestError(Violation("stage", "is not the stage of this service"))
        if self._engine not in {given.provider, *given.fallbacks}:
            raise NotFoundError("PROVIDER_NOT_FOUND", "this server has one engine")
        return applied(f"{self._engine} is chosen")

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
        try:
            return await loop.run_in_executor(self._executor, work, *arguments)
        except RuntimeError as error:
            raise EngineFailedError(self._engine) from error


class _Stream:
    def __init__(self, service: AsrService, hearing: Hearing, request: Request) -> None:
        self._service = service
        self._hearing = hearing
        self._request = request
        self._resampler: SpeechResampler[Pcm16k] | None = None
        self._agreed: tuple[str, int] | None = None
        self._ready = Pcm16k(b"")
        self._heard_s = 0.0
        self._spent_s = 0.0
        self._next = 0

    def take(self, chunk: Chunk) -> None:
        """Takes a chunk. Raises InvalidRequestError for one that does not continue the stream."""
        self._check(chunk)
        sound = _sound(chunk)
        self._heard_s += sound.seconds
        if self._heard_s > LONGEST_S:
            raise _wrong("audio_data", f"makes the utterance longer than {LONGEST_S:.0f} s")
        if self._resampler is None:
            self._resampler = SpeechResampler(sound.rate, Pcm16k)
        self._ready = self._ready + self._resampler.process(sound)

    def _check(self, chunk: Chunk) -> None:
        terms = (chunk.format, chunk.sample_rate)
        if self._agreed is None:
            self._agreed = terms
        if chunk.format != self._agreed[0]:
            raise _wrong("format", "changes within the stream")
        if chunk.sample_rate != self._agreed[1]:
            raise _wrong("sample_rate", "changes within the stream")
        if chunk.sequence_number not in {0, self._next}:  # a client need not count
            raise _wrong("sequence_number", "leaves a gap")
        self._next += 1

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


async def _in_time(chunks: AsyncIterator[Chunk]) -> AsyncIterator[Chunk]:
    """Somebody who sends nothing and goes on must not hold a place for ever."""
    coming = aiter(chunks)
    while True:
        try:
            async with at_most(IDLE_S):
                chunk = await anext(coming)
        except StopAsyncIteration:
            return
        except TimeoutError:
            raise WrongStateError("STREAM_IDLE", f"no audio came for {IDLE_S:.0f} s") from None
        yield chunk


def _sound(chunk: Chunk) -> Pcm:
    law = _LAWS.get(chunk.format)
    if law is not None:
        return decode(chunk.audio_data, law)
    return KINDS[chunk.sample_rate](chunk.audio_data)


def _wrong(field: str, description: str) -> InvalidRequestError:
    return InvalidRequestError(Violation(field, description))
