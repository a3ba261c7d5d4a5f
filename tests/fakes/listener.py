"""FakeListener: our ASRService with faults, to be asked over gRPC."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Self

import grpc
import grpc.aio

from callfleet.v1 import asr_pb2, asr_pb2_grpc
from fakes.model_server import Trouble


class FakeListener(asr_pb2_grpc.ASRServiceServicer):
    """`async with FakeListener() as server:` then `server.url`. It understands `heard` at the end
    of every stream, `first_s` after it. A cut comes after so many chunks, and at the end of a
    stream that had fewer, as when the process dies; with a stall the result never comes."""

    def __init__(self, heard: str = "where is my credit card") -> None:
        self.heard = heard
        self.trouble: Trouble | None = None
        self.first_s = 0.0
        self.chunks: list[int] = []  # of each stream
        self.url = ""
        self._server: grpc.aio.Server | None = None

    async def __aenter__(self) -> Self:
        self._server = server = grpc.aio.server()
        asr_pb2_grpc.add_ASRServiceServicer_to_server(self, server)  # type: ignore[no-untyped-call]
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        self.url = f"grpc://127.0.0.1:{port}"
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        await self._server.stop(None)

    async def RecognizeSpeech(  # noqa: N802, the name is the protocol's
        self, request_iterator: AsyncIterator[Any], context: Any
    ) -> AsyncIterator[asr_pb2.RecognitionResult]:
        """One utterance."""
        trouble, number = self.trouble, len(self.chunks)
        dies = trouble is not None and trouble.kind == "cut"
        self.chunks.append(0)
        async for _ in request_iterator:
            self.chunks[number] += 1
            if dies and trouble is not None and self.chunks[number] >= trouble.after:
                await _die(context)
        if dies:
            await _die(context)
        await asyncio.sleep(self.first_s)
        if trouble is not None and trouble.kind == "stall":
            await asyncio.Event().wait()
        yield asr_pb2.RecognitionResult(
            kind=asr_pb2.RecognitionResult.Kind.KIND_FINAL, text=self.heard, confidence=0.9
        )


async def _die(context: Any) -> None:
    """What a client sees of a process that is gone."""
    await context.abort(grpc.StatusCode.UNAVAILABLE, "Socket closed")
