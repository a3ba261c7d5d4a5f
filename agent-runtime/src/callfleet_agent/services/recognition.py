"""ASRService: what is said in a stream of audio, while it is said and when it is finished."""

from collections import deque
from collections.abc import AsyncIterator
from typing import Any, Final

from callfleet.v1 import asr_pb2, common_pb2
from callfleet_agent.audio import Pcm8k
from callfleet_agent.audio.level import dbfs
from callfleet_agent.services.engines import Ears, Listening, Recogniser, Recognisers, Understood
from callfleet_agent.services.errors import InvalidRequestError, NotFoundError, Violation
from callfleet_agent.services.inputs import reader_of
from callfleet_agent.services.inputs.speech import Chunk, ProviderChoice
from callfleet_agent.services.preferences import Preferences
from callfleet_agent.services.shared_choices import SharedChoices
from callfleet_agent.services.sound import Inward
from callfleet_agent.services.speech_gate import GateSettings, SpeechGate
from callfleet_agent.services.voice_activity import applied

NAME: Final = "callfleet.v1.ASRService"
READERS: Final = {
    f"/{NAME}/RecognizeSpeech": reader_of(Chunk),
    f"/{NAME}/SelectProvider": reader_of(ProviderChoice),
}
PARTIAL_MS: Final = 600
LONGEST_MS: Final = 15_000
_PRE_ROLL: Final = 20  # pieces of 20 ms before speech was noticed
_PIECE: Final = 160
Result = asr_pb2.RecognitionResult


class RecognitionService:
    """Both RPCs."""

    def __init__(
        self, ears: Ears, recognisers: Recognisers, shared: SharedChoices | None = None
    ) -> None:
        self._ears = ears
        self._recognisers = recognisers
        self._chosen: Preferences[tuple[str, ...]] = Preferences("asr", (), tuple, shared)

    async def RecognizeSpeech(  # noqa: N802
        self, chunks: AsyncIterator[Chunk], _: Any
    ) -> AsyncIterator[Result]:
        """Partial results while somebody speaks, a final one after."""
        stream: _Stream | None = None
        inward = Inward()
        try:
            async for chunk in chunks:
                if stream is None:
                    chosen = await self._chosen.of(chunk.session_id)
                    stream = _Stream(self._ears, self._recognisers.named(chosen))
                sound = inward.take(chunk)
                for at in range(0, len(sound), _PIECE):
                    async for result in stream.take(sound.slice(at, at + _PIECE)):
                        yield result
                if chunk.end_of_utterance:
                    async for result in stream.finish():
                        yield result
            if stream is not None:
                async for result in stream.finish():
                    yield result
        finally:
            if stream is not None:
                stream.close()

    async def SelectProvider(  # noqa: N802
        self, given: ProviderChoice, _: Any
    ) -> common_pb2.ConfigurationResponse:
        """Choose a recogniser, or the first of the fallbacks that is there, and those after it for
        when it fails."""
        if given.stage != "asr":
            raise InvalidRequestError(Violation("stage", "is not the stage of this service"))
        names = (given.provider, *given.fallbacks)
        found = tuple(name for name in names if self._recognisers.has(name))
        if not found:
            raise NotFoundError("PROVIDER_NOT_FOUND", "there is no such provider")
        await self._chosen.choose(given.session_id, found)
        return applied(f"{found[0]} is chosen")


class _Stream:
    """One stream: an utterance at a time."""

    def __init__(self, ears: Ears, recogniser: Recogniser) -> None:
        self._ear = ears.new()
        self._recogniser = recogniser
        self._gate = SpeechGate(GateSettings(), ears.window_ms)
        self._before: deque[Pcm8k] = deque(maxlen=_PRE_ROLL)
        self._utterance: Listening | None = None
        self._heard_ms = 0
        self._told_ms = 0
        self._position = 0

    async def take(self, sound: Pcm8k) -> AsyncIterator[Result]:
        self._position += len(sound)
        level = dbfs(sound) if len(sound) else -96.0
        for probability in self._ear.feed(sound):
            self._gate.feed(probability, level)
        if self._utterance is None:
            self._before.append(sound)
            if self._gate.is_open:
                self._begin()
            return
        self._utterance.feed(sound)
        self._heard_ms += len(sound) // 8
        if not self._gate.is_open or self._heard_ms >= LONGEST_MS:
            async for result in self.finish():
                yield result
        elif self._heard_ms - self._told_ms >= PARTIAL_MS:
            self._told_ms = self._heard_ms
            understood = await self._utterance.so_far()
            if understood.text:
                yield self._result(Result.KIND_PARTIAL, understood)

    async def finish(self) -> AsyncIterator[Result]:
        utterance, self._utterance = self._utterance, None
        if utterance is None:
            return
        try:
            understood = await utterance.understood()
        finally:
            utterance.close()
        kind = Result.KIND_NO_MATCH if understood.text is None else Result.KIND_FINAL
        yield self._result(kind, understood)

    def close(self) -> None:
        if self._utterance is not None:
            self._utterance.close()

    def _begin(self) -> None:
        self._utterance = self._recogniser.begin()
        self._heard_ms = self._told_ms = 0
        while self._before:
            self._utterance.feed(self._before.popleft())

    def _result(self, kind: "Result.Kind", understood: Understood) -> Result:
        return Result(
            kind=kind,
            text=understood.text or "",
            confidence=understood.confidence,
            timestamp=self._position * 125,
            provider=understood.provider or self._recogniser.name,
            language=understood.language or self._recogniser.language,
        )
