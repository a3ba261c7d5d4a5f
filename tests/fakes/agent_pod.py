"""FakeAgentPod: the control service of an agent pod, as fleet.proto says, on a real socket or none.

It refuses older epochs and other pods' intents, obeys at once, and reports on change.
"""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import grpc

from callfleet.v1 import fleet_pb2, fleet_pb2_grpc


@dataclass
class FakeAgentPod(fleet_pb2_grpc.AgentPodServiceServicer):
    uid: str
    calls: int = 0
    capacity: int = 20
    epoch: int = 0
    state: int = fleet_pb2.POD_STATE_SERVING
    intents: list[fleet_pb2.PodIntent] = field(default_factory=list)
    streams: int = 0
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    def say(self, *, calls: int) -> None:
        self.calls = calls
        news, self._news = self._news, asyncio.Event()
        news.set()

    async def Control(  # noqa: N802 - the name in fleet.proto
        self,
        request_iterator: AsyncIterator[fleet_pb2.PodIntent],
        context: "grpc.aio.ServicerContext[fleet_pb2.PodIntent, fleet_pb2.PodReport]",
    ) -> AsyncIterator[fleet_pb2.PodReport]:
        self.streams += 1
        answers: asyncio.Queue[str | None] = asyncio.Queue()
        hearing = asyncio.create_task(self._hear(request_iterator, context, answers))
        telling = asyncio.create_task(self._tell(answers))
        try:
            while (correlation_id := await answers.get()) is not None:
                yield self.report(correlation_id)
        finally:
            for task in (hearing, telling):
                task.cancel()
        await context.abort(grpc.StatusCode.FAILED_PRECONDITION, "older epoch, or another pod")

    def report(self, correlation_id: str = "") -> fleet_pb2.PodReport:
        return fleet_pb2.PodReport(
            correlation_id=correlation_id,
            pod_uid=self.uid,
            accepted_epoch=self.epoch,
            state=self.state,  # type: ignore[arg-type]
            calls=self.calls,
            capacity=self.capacity,
        )

    async def _hear(
        self,
        intents: AsyncIterator[fleet_pb2.PodIntent],
        context: "grpc.aio.ServicerContext[fleet_pb2.PodIntent, fleet_pb2.PodReport]",
        answers: "asyncio.Queue[str | None]",
    ) -> None:
        async for intent in intents:
            if intent.epoch < self.epoch or intent.pod_uid != self.uid:
                answers.put_nowait(None)
                return
            self.intents.append(intent)
            self.epoch, self.state = intent.epoch, intent.state
            answers.put_nowait(intent.correlation_id)

    async def _tell(self, answers: "asyncio.Queue[str | None]") -> None:
        while True:
            await self._news.wait()
            answers.put_nowait("")
