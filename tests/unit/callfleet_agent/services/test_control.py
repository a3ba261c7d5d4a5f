"""The control stream, over real gRPC on loopback."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest

from callfleet.v1 import fleet_pb2, fleet_pb2_grpc
from callfleet_agent.services import control
from callfleet_agent.session import Drain, PodIntent, PodPhase

SERVING, DRAINING = fleet_pb2.POD_STATE_SERVING, fleet_pb2.POD_STATE_DRAINING


class FakePod:
    """A pod that only remembers what is wanted of it."""

    def __init__(self) -> None:
        self.uid = "uid-1"
        self.drain = Drain()
        self.calls = 0
        self.version = 0
        self._changed = asyncio.Event()

    def want(self, epoch: int, intent: PodIntent, *, row_confirmed_inactive: bool) -> None:
        self.drain = self.drain.on_intent(
            epoch, intent, row_confirmed_inactive=row_confirmed_inactive
        )

    def report(self) -> fleet_pb2.PodReport:
        draining = self.drain.phase(now=0.0) is PodPhase.DRAINING
        return fleet_pb2.PodReport(
            pod_uid=self.uid,
            accepted_epoch=self.drain.epoch,
            state=DRAINING if draining else SERVING,
            calls=self.calls,
        )

    def tell(self, calls: int) -> None:
        self.calls = calls
        self.version += 1
        self._changed.set()
        self._changed = asyncio.Event()

    async def changed_since(self, version: int) -> None:
        while self.version == version:
            await self._changed.wait()


def intent(epoch: int, state: int = SERVING, uid: str = "uid-1") -> fleet_pb2.PodIntent:
    return fleet_pb2.PodIntent(
        correlation_id=f"c-{epoch}",
        epoch=epoch,
        state=state,  # type: ignore[arg-type]
        pod_uid=uid,
    )


@asynccontextmanager
async def served(pod: FakePod, *, open_to_all: bool = True) -> AsyncIterator[grpc.aio.Channel]:
    server = grpc.aio.server()
    service = control.ControlService(pod, open_to_all=open_to_all)
    fleet_pb2_grpc.add_AgentPodServiceServicer_to_server(service, server)  # type: ignore[no-untyped-call]
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield channel
    await server.stop(None)


def opened(channel: grpc.aio.Channel) -> Any:
    stub = fleet_pb2_grpc.AgentPodServiceStub(channel)  # type: ignore[no-untyped-call]
    return stub.Control()


async def test_every_intent_is_answered() -> None:
    async with served(FakePod()) as channel:
        stream = opened(channel)
        for epoch, state in ((3, SERVING), (3, DRAINING), (4, SERVING)):
            await stream.write(intent(epoch, state))
            report = await stream.read()
            assert (report.correlation_id, report.accepted_epoch, report.state) == (
                f"c-{epoch}",
                epoch,
                state,
            )


async def test_a_change_is_reported_without_being_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "SHORTEST_S", 0.0)
    pod = FakePod()
    async with served(pod) as channel:
        stream = opened(channel)
        await stream.write(intent(1))
        await stream.read()
        pod.tell(calls=7)
        report = await stream.read()
        assert (report.correlation_id, report.calls) == ("", 7)


async def test_the_stream_is_kept_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "KEEPALIVE_S", 0.01)
    async with served(FakePod()) as channel:
        stream = opened(channel)
        await stream.write(intent(1))
        while not (await stream.read()).correlation_id:
            pass  # on a busy machine some are due before the intent arrives
        reports = [await stream.read() for _ in range(2)]
        assert [report.correlation_id for report in reports] == ["", ""]


@pytest.mark.parametrize(
    ("second", "why"),
    [
        (intent(2), "epoch 2 is older than the accepted epoch 3"),
        (intent(3, uid="uid-2"), "another pod is meant"),
        (intent(3, fleet_pb2.POD_STATE_UNSPECIFIED), "the wanted state is not set"),
    ],
)
async def test_what_cannot_be_wanted_ends_the_stream(second: fleet_pb2.PodIntent, why: str) -> None:
    async with served(FakePod()) as channel:
        stream = opened(channel)
        await stream.write(intent(3))
        await stream.read()
        await stream.write(second)
        assert await stream.code() is grpc.StatusCode.FAILED_PRECONDITION
        assert await stream.details() == why


async def test_a_second_stream_ends_the_first() -> None:
    async with served(FakePod()) as channel:
        first, second = opened(channel), opened(channel)
        await first.write(intent(3))
        await first.read()
        await second.write(intent(4))
        assert (await second.read()).accepted_epoch == 4
        assert await first.code() is not grpc.StatusCode.OK


async def test_a_stranger_is_not_served() -> None:
    async with served(FakePod(), open_to_all=False) as channel:
        assert await opened(channel).code() is grpc.StatusCode.PERMISSION_DENIED


async def test_the_operator_may_leave() -> None:
    pod = FakePod()
    async with served(pod) as channel:
        stream = opened(channel)
        await stream.write(intent(1))
        await stream.read()
        await stream.done_writing()
        assert await stream.read() is grpc.aio.EOF  # type: ignore[attr-defined]
        assert await stream.code() is grpc.StatusCode.OK
