"""Recognition by our ASRService: whisper and vosk.

The utterance is sent while it is spoken, and partial results come back. `recognise` ends the stream
and awaits its final result; what is fed after that goes, with all before, into a new stream.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Final
from uuid import uuid4

import grpc

from callfleet.v1 import asr_pb2, asr_pb2_grpc, common_pb2
from callfleet_agent.audio import Pcm8k
from callfleet_agent.chain import Fault
from callfleet_agent.dialog import Grammar
from callfleet_agent.providers.errors import ProviderError
from callfleet_agent.providers.grpc_channel import GrpcChannel, faults, status_was_lost
from callfleet_agent.providers.ports import Connected, Recognition
from callfleet_agent.providers.settings import EngineSettings

_Kind = asr_pb2.RecognitionResult.Kind
MOST_IN_CHUNK: Final = 8000 * 2 * 10  # bytes; ten seconds


class _Stream:
    """One RecognizeSpeech."""

    def __init__(self, channel: GrpcChannel, sounds: Sequence[Pcm8k]) -> None:
        self._channel = channel
        self._sounds: asyncio.Queue[bytes | None] = asyncio.Queue()
        for sound in sounds:
            self.feed(sound)
        self.connected = asyncio.Event()
        self.partial = ""
        self.task = asyncio.ensure_future(self._run())
        self.task.add_done_callback(_looked_at)

    def feed(self, sound: Pcm8k) -> None:
        for start in range(0, len(sound.data), MOST_IN_CHUNK):
            self._sounds.put_nowait(sound.data[start : start + MOST_IN_CHUNK])

    def end(self) -> None:
        self._sounds.put_nowait(None)

    async def _run(self) -> Recognition:
        channel = await self._channel.connect(self.connected.set)
        stub = asr_pb2_grpc.ASRServiceStub(channel)  # type: ignore[no-untyped-call]
        async with faults():
            try:
                return await self._answer(stub, self._chunks())
            except grpc.aio.AioRpcError as error:
                if not status_was_lost(error):
                    raise
                await self._answer(stub, _nothing())  # to be told, what was said before, again
                raise

    async def _answer(
        self, stub: asr_pb2_grpc.ASRServiceStub, chunks: AsyncIterator[common_pb2.AudioChunk]
    ) -> Recognition:
        call = stub.RecognizeSpeech(chunks, metadata=self._channel.metadata())
        async for result in call:
            if result.kind == _Kind.KIND_PARTIAL:
                self.partial = result.text
            elif result.kind == _Kind.KIND_FINAL and result.text.strip():
                return Recognition(result.text.strip(), result.confidence)
            else:
                return Recognition(None, result.confidence)
        raise ProviderError(Fault.TRUNCATED)

    async def _chunks(self) -> AsyncIterator[common_pb2.AudioChunk]:
        session, number, position = str(uuid4()), 0, 0
        while (data := await self._sounds.get()) is not None:
            yield common_pb2.AudioChunk(
                audio_data=data,
                sample_rate=Pcm8k.rate,
                format=common_pb2.AUDIO_FORMAT_PCM_S16LE,
                timestamp=position * 125,
                session_id=session,
                sequence_number=number,
            )
            number += 1
            position += len(data) // 2


async def _nothing() -> AsyncIterator[common_pb2.AudioChunk]:
    return
    yield


class GrpcTranscription:
    """One utterance."""

    def __init__(self, channel: GrpcChannel) -> None:
        self._channel = channel
        self._sounds: list[Pcm8k] = []
        self._stream: _Stream | None = None
        self._ended = False

    @property
    def partial(self) -> str:
        """What was understood so far."""
        return self._stream.partial if self._stream is not None else ""

    def feed(self, sound: Pcm8k) -> None:
        self._sounds.append(sound)
        if self._ended:
            self.close()
        elif self._stream is not None:
            self._stream.feed(sound)
        else:
            self._stream = _Stream(self._channel, self._sounds)

    async def recognise(self, connected: Connected) -> Recognition:
        if self._stream is None:
            self._stream = _Stream(self._channel, self._sounds)
        stream = self._stream
        if not self._ended:
            stream.end()
        self._ended = True
        standing = asyncio.ensure_future(stream.connected.wait())
        try:
            await asyncio.wait({standing, stream.task}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            standing.cancel()
        if stream.connected.is_set():
            connected()
        # A turn that is cancelled leaves the stream to `close`.
        return await asyncio.shield(stream.task)

    def close(self) -> None:
        stream, self._stream, self._ended = self._stream, None, False
        if stream is not None:
            stream.task.cancel()


class GrpcTranscriber:
    """One pool of our own servers. They know no grammars."""

    def __init__(self, settings: EngineSettings) -> None:
        self._channel = GrpcChannel(settings)

    async def start(self, grammars: Sequence[Grammar]) -> None:
        """Connects when it is first needed."""

    def begin(self, grammar: Grammar, channel: tuple[float, ...]) -> GrpcTranscription:  # noqa: ARG002
        return GrpcTranscription(self._channel)

    async def warm(self) -> None:
        await self._channel.warm()

    async def stop(self) -> None:
        await self._channel.close()


def _looked_at(task: "asyncio.Task[Recognition]") -> None:
    if not task.cancelled():
        task.exception()  # raised to whoever asks; otherwise of no interest
