"""Streams to pods: wanted states in, reports out, whatever breaks."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

from callfleet.v1 import fleet_pb2
from callfleet_operator.pods.dial import DialError
from callfleet_operator.pods.link import PodStreams
from callfleet_operator.ports.pods import PodState, PodTarget
from fakes.virtual_time import FakeClock, in_virtual_time

TARGET = PodTarget("u1", "bank", "pod-1", "card-line", "10.0.0.1", PodState.SERVING)


@dataclass
class FakeDialer:
    """Answers every intent with a report; `fault` ends streams, `silent` says nothing."""

    calls: int = 0
    uid: str = "u1"
    fault: DialError | None = None
    silent: bool = False
    dials: list[float] = field(default_factory=list)
    intents: list[fleet_pb2.PodIntent] = field(default_factory=list)
    open: int = 0

    async def stream(
        self, target: PodTarget, intents: AsyncIterator[fleet_pb2.PodIntent]
    ) -> AsyncIterator[fleet_pb2.PodReport]:
        self.dials.append(asyncio.get_running_loop().time())
        self.open += 1
        try:
            if self.fault is not None:
                raise self.fault
            async for intent in intents:
                self.intents.append(intent)
                if self.silent:
                    await asyncio.sleep(1e6)
                if self.fault is not None:
                    raise self.fault
                yield fleet_pb2.PodReport(
                    correlation_id=intent.correlation_id,
                    pod_uid=self.uid,
                    accepted_epoch=intent.epoch,
                    state=intent.state,
                    calls=self.calls,
                    capacity=20,
                    revision="r1",
                    slo=fleet_pb2.Slo(calls_offered=5, response_counts=[1, 2]),
                )
        finally:
            self.open -= 1


@dataclass
class Running:
    streams: PodStreams
    dialer: FakeDialer
    reported: list[tuple[str, str, bool]]

    def want(self, *targets: PodTarget) -> None:
        self.streams.want("bank", "card-line", {target.uid: target for target in targets})


@asynccontextmanager
async def running(dialer: FakeDialer | None = None) -> AsyncIterator[Running]:
    dialer = dialer or FakeDialer()
    reported: list[tuple[str, str, bool]] = []
    streams = PodStreams(dialer, FakeClock(), 7, lambda *told: reported.append(told), lambda: 0.5)
    task = asyncio.create_task(streams.run())
    try:
        yield Running(streams, dialer, reported)
    finally:
        task.cancel()
        await asyncio.wait([task])
        assert dialer.open == 0


@in_virtual_time
async def test_a_pod_is_told_its_state_with_the_epoch_and_reports() -> None:
    async with running() as r:
        r.want(TARGET)
        await asyncio.sleep(1)
        (intent,) = r.dialer.intents
        assert (intent.epoch, intent.pod_uid) == (7, "u1")
        assert intent.state == fleet_pb2.POD_STATE_SERVING
        assert intent.correlation_id
        figures = r.streams.figures("u1")
        assert figures is not None
        assert (figures.state, figures.capacity, figures.heard) == (PodState.SERVING, 20, True)
        assert figures.slo.calls_offered == 5
        assert figures.slo.response_counts == (1, 2)
        assert r.reported == [("bank", "card-line", True)]
        assert r.streams.heard == 1


@in_virtual_time
async def test_a_change_is_told_at_once_and_the_same_is_not() -> None:
    async with running() as r:
        r.want(TARGET)
        await asyncio.sleep(1)
        r.want(TARGET)
        await asyncio.sleep(1)
        assert len(r.dialer.intents) == 1
        r.want(replace(TARGET, state=PodState.DRAINING, row_confirmed_inactive=True))
        await asyncio.sleep(0.01)
        assert r.dialer.intents[-1].state == fleet_pb2.POD_STATE_DRAINING
        assert r.dialer.intents[-1].row_confirmed_inactive
        figures = r.streams.figures("u1")
        assert figures is not None
        assert figures.state is PodState.DRAINING


@in_virtual_time
async def test_an_unchanged_state_is_repeated_now_and_then() -> None:
    async with running() as r:
        r.want(TARGET)
        await asyncio.sleep(95)
        assert len(r.dialer.intents) == 5


@in_virtual_time
async def test_a_broken_stream_is_dialed_again_with_growing_delays() -> None:
    async with running(FakeDialer(fault=DialError("UNAVAILABLE"))) as r:
        r.want(TARGET)
        await asyncio.sleep(120)
        gaps = [b - a for a, b in zip(r.dialer.dials, r.dialer.dials[1:], strict=False)]
        assert gaps[0] < 1
        assert gaps[-1] > 10
        assert r.streams.figures("u1") is None
        r.dialer.fault = None
        await asyncio.sleep(20)
        assert r.streams.figures("u1") is not None


@in_virtual_time
async def test_a_pod_that_is_not_heard_keeps_its_figures() -> None:
    async with running(FakeDialer(calls=4)) as r:
        r.want(TARGET)
        await asyncio.sleep(1)
        r.dialer.fault = DialError("UNAVAILABLE")
        r.want(replace(TARGET, row_confirmed_inactive=True))
        await asyncio.sleep(1)
        figures = r.streams.figures("u1")
        assert figures is not None
        assert (figures.calls, figures.heard) == (4, False)
        assert r.reported[-1] == ("bank", "card-line", True)


@in_virtual_time
async def test_a_pod_that_says_nothing_for_long_is_dialed_again() -> None:
    async with running(FakeDialer(silent=True)) as r:
        r.want(TARGET)
        await asyncio.sleep(40)
        assert len(r.dialer.dials) == 2


@in_virtual_time
async def test_a_pod_that_refuses_this_leader_is_asked_seldom() -> None:
    async with running(FakeDialer(fault=DialError("FAILED_PRECONDITION", refused=True))) as r:
        r.want(TARGET)
        await asyncio.sleep(100)
        assert len(r.dialer.dials) <= 12


@in_virtual_time
async def test_another_pod_at_the_address_is_not_believed() -> None:
    async with running(FakeDialer(uid="u2")) as r:
        r.want(TARGET)
        await asyncio.sleep(5)
        assert r.streams.figures("u1") is None


@in_virtual_time
async def test_a_pod_that_is_no_longer_wanted_is_left_and_forgotten() -> None:
    async with running() as r:
        other = replace(TARGET, uid="u2", name="pod-2", address="10.0.0.2")
        r.dialer.uid = ""
        r.want(TARGET, other)
        await asyncio.sleep(1)
        assert r.dialer.open == 2
        r.want(TARGET)
        await asyncio.sleep(1)
        assert r.dialer.open == 1
        assert r.streams.figures("u2") is None
        r.want()
        await asyncio.sleep(1)
        assert r.dialer.open == 0


@in_virtual_time
async def test_a_new_address_is_dialed() -> None:
    async with running() as r:
        r.want(TARGET)
        await asyncio.sleep(1)
        r.want(replace(TARGET, address="10.0.0.9"))
        await asyncio.sleep(1)
        assert len(r.dialer.dials) == 2
        assert r.dialer.open == 1


@in_virtual_time
async def test_calls_that_come_and_go_are_not_urgent_but_the_end_of_a_drain_is() -> None:
    async with running(FakeDialer(calls=2)) as r:
        r.want(TARGET)
        await asyncio.sleep(1)
        r.dialer.calls = 3
        # Shorter than the silence after which a stream counts as dead.
        await asyncio.sleep(29.5)
        assert r.reported[-1] == ("bank", "card-line", False)
        r.want(replace(TARGET, state=PodState.DRAINING))
        await asyncio.sleep(1)
        r.dialer.calls = 0
        r.reported.clear()
        await asyncio.sleep(29.5)
        assert r.reported == [("bank", "card-line", True)]


@in_virtual_time
async def test_what_was_wanted_before_the_start_is_dialed_then() -> None:
    dialer = FakeDialer()
    streams = PodStreams(dialer, FakeClock(), 7, lambda *_: None, lambda: 0.5)
    streams.want("bank", "card-line", {"u1": TARGET})
    await asyncio.sleep(1)
    assert dialer.dials == []
    task = asyncio.create_task(streams.run())
    await asyncio.sleep(1)
    assert len(dialer.dials) == 1
    task.cancel()
    await asyncio.wait([task])


@in_virtual_time
async def test_a_report_from_before_the_last_intent_answers_nothing() -> None:
    """Drained, taken back and drained again: what the pod said of the first drain is not enough."""
    dialer = HeldDialer()
    async with running(dialer) as it:
        draining = replace(TARGET, state=PodState.DRAINING)
        it.want(draining)
        await asyncio.sleep(1)
        dialer.answer()
        await asyncio.sleep(0.1)
        first = it.streams.figures("u1")
        assert first is not None
        assert (first.state, first.answered) == (PodState.DRAINING, True)
        it.want(TARGET)
        it.want(draining)
        it.reported.clear()
        await asyncio.sleep(1)
        dialer.say(dialer.intents[0])  # was under way already
        await asyncio.sleep(0.1)
        late = it.streams.figures("u1")
        assert late is not None
        assert (late.state, late.answered) == (PodState.DRAINING, False)
        dialer.answer()
        await asyncio.sleep(0.1)
        known = it.streams.figures("u1")
        assert known is not None
        assert (known.state, known.answered) == (PodState.DRAINING, True)
        assert it.reported[-1] == ("bank", "card-line", True)


@in_virtual_time
async def test_an_intent_that_is_repeated_takes_no_answer_back() -> None:
    dialer = HeldDialer()
    async with running(dialer) as it:
        it.want(TARGET)
        await asyncio.sleep(1)
        dialer.answer()
        await asyncio.sleep(21)  # sent again, not answered yet
        assert len(dialer.intents) == 2
        dialer.say(fleet_pb2.PodIntent(state=fleet_pb2.POD_STATE_SERVING))  # a report on change
        await asyncio.sleep(0.1)
        found = it.streams.figures("u1")
        assert found is not None
        assert found.answered


@dataclass
class HeldDialer(FakeDialer):
    """Reports what a test says when it says it."""

    reports: "asyncio.Queue[fleet_pb2.PodReport]" = field(default_factory=asyncio.Queue)

    def answer(self) -> None:
        """To the newest intent."""
        self.say(self.intents[-1])

    def say(self, intent: fleet_pb2.PodIntent) -> None:
        report = fleet_pb2.PodReport(
            correlation_id=intent.correlation_id, pod_uid=self.uid, state=intent.state
        )
        self.reports.put_nowait(report)

    async def stream(
        self, target: PodTarget, intents: AsyncIterator[fleet_pb2.PodIntent]
    ) -> AsyncIterator[fleet_pb2.PodReport]:
        async def read() -> None:
            async for intent in intents:
                self.intents.append(intent)

        reader = asyncio.create_task(read())
        try:
            while True:
                yield await self.reports.get()
        finally:
            reader.cancel()
            await asyncio.wait([reader])
