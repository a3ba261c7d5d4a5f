"""What a server says is known, whenever it says it."""

from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from grpc.aio import AioRpcError, Metadata

from callfleet.v1 import asr_pb2, asr_pb2_grpc
from callfleet_agent.audio import Pcm8k
from callfleet_agent.chain import Fault
from callfleet_agent.dialog import Dialog, DialogSettings
from callfleet_agent.providers import transcriber_grpc
from callfleet_agent.providers.errors import ProviderError
from callfleet_agent.providers.grpc_channel import GrpcChannel
from callfleet_agent.providers.settings import EngineSettings

GRAMMAR = Dialog(DialogSettings()).grammars()[0]
LOST = AioRpcError(
    grpc.StatusCode.INTERNAL,
    Metadata(),
    Metadata(),
    "Internal error from Core",
    'Failed "execute_batch": (<grpc._cython.cygrpc.SendMessageOperation object at 0x7f>,)',
)


def said(code: grpc.StatusCode) -> AioRpcError:
    return AioRpcError(code, Metadata(), Metadata(), "no", "")


class Server:
    """Ends each RPC with the next of these; counts the chunks that it was sent."""

    def __init__(self, *ends: AioRpcError) -> None:
        self._ends = list(ends)
        self.chunks: list[int] = []

    def RecognizeSpeech(self, chunks: AsyncIterator[Any], metadata: Any) -> AsyncIterator[Any]:  # noqa: N802
        return self._end(chunks)

    async def _end(self, chunks: AsyncIterator[Any]) -> AsyncIterator[Any]:
        self.chunks.append(len([chunk async for chunk in chunks]))
        if self._ends:
            raise self._ends.pop(0)
        yield asr_pb2.RecognitionResult()


async def fault_of(server: Server, monkeypatch: pytest.MonkeyPatch) -> Fault:
    async def connect(_: GrpcChannel, connected: Any) -> None:
        connected()

    monkeypatch.setattr(GrpcChannel, "connect", connect)
    monkeypatch.setattr(asr_pb2_grpc, "ASRServiceStub", lambda _: server)
    engine = transcriber_grpc.GrpcTranscriber(
        EngineSettings(engine="whisper", endpoints=("http://127.0.0.1:9",))
    )
    utterance = engine.begin(GRAMMAR, ())
    utterance.feed(Pcm8k.silence(1600))
    with pytest.raises(ProviderError) as caught:
        await utterance.recognise(lambda: None)
    await engine.stop()
    return caught.value.fault


@pytest.mark.parametrize(
    ("ends", "fault", "chunks"),
    [
        ([said(grpc.StatusCode.UNAUTHENTICATED)], Fault.UNAUTHORISED, [1]),
        ([LOST, said(grpc.StatusCode.UNAUTHENTICATED)], Fault.UNAUTHORISED, [1, 0]),
        ([LOST, said(grpc.StatusCode.RESOURCE_EXHAUSTED)], Fault.RATE_LIMITED, [1, 0]),
        ([LOST, LOST], Fault.SERVER_ERROR, [1, 0]),
        ([said(grpc.StatusCode.INTERNAL)], Fault.SERVER_ERROR, [1]),
    ],
)
async def test_a_refusal_that_came_while_sound_was_sent_is_asked_for_again(
    monkeypatch: pytest.MonkeyPatch, ends: list[AioRpcError], fault: Fault, chunks: list[int]
) -> None:
    server = Server(*ends)
    assert await fault_of(server, monkeypatch) is fault
    assert server.chunks == chunks
