"""Events: one object for what repeats, nothing lost by blocking, nothing blocked by losing."""

import asyncio

from callfleet_operator.kube.events import EventRecorder
from callfleet_operator.ports.errors import ForbiddenError
from callfleet_operator.ports.events import EventType
from callfleet_operator.ports.kinds import EVENT, Manifest
from callfleet_operator.ports.kube import Ref
from fakes.kube import FakeKube
from fakes.virtual_time import FakeClock, in_virtual_time

AGENT: Manifest = {
    "apiVersion": "callfleet.io/v1alpha1",
    "kind": "VoiceAgent",
    "metadata": {"namespace": "bank", "name": "card-line", "uid": "u1", "resourceVersion": "7"},
}


async def written(kube: FakeKube, times: int, *, note: str = "the pool is not there") -> None:
    recorder = EventRecorder(kube, FakeClock(), "operator-1")
    task = asyncio.create_task(recorder.run())
    for _ in range(times):
        recorder.emit(AGENT, EventType.WARNING, "PoolNotFound", "Reconcile", note)
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.1)
    task.cancel()
    await asyncio.wait([task])


@in_virtual_time
async def test_an_event_names_object_reason_and_reporter() -> None:
    kube = FakeKube()
    await written(kube, 1)
    (event,) = kube.all(EVENT)
    assert event["regarding"]["uid"] == "u1"
    assert (event["type"], event["reason"], event["action"]) == (
        "Warning",
        "PoolNotFound",
        "Reconcile",
    )
    assert event["reportingController"] == "callfleet.io/operator"
    assert event["reportingInstance"] == "operator-1"
    assert event["eventTime"].endswith("Z")


@in_virtual_time
async def test_what_repeats_is_one_event_with_a_count_and_few_requests() -> None:
    kube = FakeKube()
    await written(kube, 120)
    (event,) = kube.all(EVENT)
    assert event["series"]["count"] == 100
    assert kube.requests == {"POST": 1, "PATCH": 5}


@in_virtual_time
async def test_the_same_after_a_long_time_is_a_new_event() -> None:
    kube = FakeKube()
    recorder = EventRecorder(kube, FakeClock(), "operator-1")
    task = asyncio.create_task(recorder.run())
    for _ in range(2):
        recorder.emit(AGENT, EventType.NORMAL, "Drained", "Drain", "a pod was drained")
        await asyncio.sleep(3600)
    task.cancel()
    await asyncio.wait([task])
    assert len(kube.all(EVENT)) == 2


@in_virtual_time
async def test_events_that_cannot_be_written_are_dropped_and_counted() -> None:
    kube = FakeKube()

    def before(verb: str, ref: Ref) -> None:
        raise ForbiddenError(403, "Forbidden", "no events")

    kube.before = before
    recorder = EventRecorder(kube, FakeClock(), "operator-1")
    task = asyncio.create_task(recorder.run())
    recorder.emit(AGENT, EventType.NORMAL, "A", "B", "c")
    await asyncio.sleep(1)
    assert recorder.dropped == 1
    task.cancel()
    await asyncio.wait([task])


@in_virtual_time
async def test_a_flood_blocks_nobody() -> None:
    kube = FakeKube()
    recorder = EventRecorder(kube, FakeClock(), "operator-1")
    for number in range(5000):
        recorder.emit(AGENT, EventType.NORMAL, "A", "B", f"note {number}")
    assert recorder.dropped == 4000


@in_virtual_time
async def test_notes_have_a_limit() -> None:
    kube = FakeKube()
    await written(kube, 1, note="x" * 5000)
    assert len(kube.all(EVENT)[0]["note"]) <= 1024
