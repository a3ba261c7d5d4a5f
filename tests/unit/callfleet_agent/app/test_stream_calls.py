"""Conversations over streams: one stream at a time carries a session, and the newest is the one."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from prometheus_client import CollectorRegistry

from callfleet_agent.app.call_story import NoStory, Story
from callfleet_agent.app.conversation import Introduction, NobodyTalksError, Observer
from callfleet_agent.app.stage_metrics import StageMetrics
from callfleet_agent.app.stream_calls import LEAVE_S, WAIT_FOR_STREAM_S, StreamCallBook
from callfleet_agent.app.stream_media import StreamMedia
from callfleet_agent.app.stream_records import Beginning
from callfleet_agent.app.stream_turns import StreamTurns
from callfleet_agent.app.traced_call import TracedCall
from callfleet_agent.audio import Pcm8k
from callfleet_agent.link import Earlier
from callfleet_agent.rtp import MediaTick
from callfleet_agent.services.errors import (
    EngineFailedError,
    InvalidRequestError,
    NoWorkerError,
    OverloadedError,
    StreamBusyError,
    StreamTakenOverError,
    Violation,
)
from callfleet_agent.services.inputs.speech import CallStart
from callfleet_agent.session import Call, VoiceEvent
from callfleet_agent.session.errors import (
    SessionEndedError,
    SessionExistsError,
    SessionNotFoundError,
)
from callfleet_agent.session.record import CallSession, SessionStatus
from callfleet_agent.sip.dialog import Dialog
from callfleet_agent.tracing import continued, use_tracer
from callfleet_agent.tracing.otel import OtelTracer
from fakes.virtual_time import in_virtual_time

OWNER = "spiffe://callfleet/client/kiosk"
EARLIER = Earlier("card_delivery_inquiry", "200417", 1)
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = f"00-{TRACE}-00f067aa0ba902b7-01"
Stream = AsyncGenerator[tuple[Pcm8k, bool], None]


class FakeStory(NoStory):
    """Writes down how it ended."""

    def __init__(self, ends: list[SessionStatus]) -> None:
        self._ends = ends

    def ended(self, status: SessionStatus, at: datetime) -> None:
        self._ends.append(status)


class FakeRecords:
    """Only how sessions ended is kept. `cut_off`: sessions that others go on with; while `answers`
    is not set a beginning waits."""

    def __init__(self) -> None:
        self.cut_off: dict[UUID, UUID] = {}
        self.answers = asyncio.Event()
        self.answers.set()
        self.begins = 0
        self.ends: list[SessionStatus] = []

    def story(self, session_id: UUID, owner: str) -> Story:
        return FakeStory(self.ends)

    async def begun(self, session: CallSession) -> Beginning:
        self.begins += 1
        await self.answers.wait()
        later = self.cut_off.get(session.session_id)
        if later is None:
            return Beginning(session)
        return Beginning(replace(session, session_id=later), EARLIER)

    async def settled(self) -> None:
        pass


class FakeTalk:
    """Speaks without end until it is told that the caller is gone; then it hands over its
    number."""

    def __init__(self, workers: "FakeWorkers", call: Call[Dialog], media: StreamMedia) -> None:
        self.call = call
        self.first_epoch = media.epoch
        self._workers = workers
        self._media = media
        self._sent = 0

    async def run(self) -> str:
        workers = self._workers
        workers.talks.append(self)
        workers.running += 1
        workers.most = max(workers.most, workers.running)
        if self.call.owner_epoch:
            self._media.interrupt(self._media.epoch + 1)
        self.call = self.call.on_voice(VoiceEvent.TAKEN)
        return await workers.ends

    def tick(self, tick: MediaTick) -> None:
        if tick.credit_position >= self._sent:
            self._media.push(tick.epoch, self._sent, Pcm8k.silence(160))
            self._sent += 160

    async def end(self, reason: str) -> None:
        workers = self._workers
        workers.reasons.append(reason)
        number = workers.talks.index(self) + 1
        self.call = self.call.with_context(b"conversation %d" % number)
        while not workers.leaves.is_set():
            try:
                await workers.leaves.wait()
            except asyncio.CancelledError:
                if not workers.stubborn:
                    workers.running -= 1
                    raise
        workers.running -= 1


class FakeWorkers:
    """Hold one conversation or several. While `leaves` is not set nobody leaves, and `stubborn`:
    not even when it is cancelled."""

    def __init__(self, *, stubborn: bool = False) -> None:
        self.ready = True
        self.stubborn = stubborn
        self.talks: list[FakeTalk] = []
        self.introductions: list[Introduction] = []
        self.reasons: list[str] = []
        self.running = self.most = 0
        self.leaves = asyncio.Event()
        self.leaves.set()
        self.ends: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    def converse(
        self,
        call: Call[Dialog],
        introduction: Introduction,
        media: StreamMedia,
        observer: Observer,
    ) -> FakeTalk:
        self.introductions.append(introduction)
        return FakeTalk(self, call, media)

    def observe(self, story: Story, trace: TracedCall) -> StreamTurns:
        return StreamTurns(StageMetrics(CollectorRegistry()), story, trace)


class Site:
    """A book with one session."""

    def __init__(self, *, stubborn: bool = False, most: int = 2) -> None:
        self.workers = FakeWorkers(stubborn=stubborn)
        self.records = FakeRecords()
        self.book = StreamCallBook(
            self.workers,
            self.records,
            most=most,
            now=lambda: datetime(2026, 11, 26, tzinfo=UTC),
            new_id=uuid4,
        )

    async def session(self, wanted: UUID | None = None) -> UUID:
        given = CallStart.model_construct(
            caller_phone="",
            dialed_number="",
            sip_call_id="",
            format="pcm_s16le",
            sample_rate=8000,
            session_id=wanted,
        )
        return (await self.book.start(given, OWNER)).session_id

    def stream(self, session: UUID) -> Stream:
        return self.book.hold(session, quiet())

    def status(self, session: UUID) -> SessionStatus:
        return self.book.status(session, OWNER).status


async def quiet() -> AsyncIterator[Pcm8k]:
    """A client that says nothing and does not stop."""
    yield Pcm8k.silence(160)
    await asyncio.Event().wait()


async def listened(stream: Stream) -> int:
    """How many pieces came until the end."""
    return sum([1 async for _ in stream])


async def begun(stream: Stream) -> "asyncio.Task[int]":
    """A client that has heard something, and reads on."""
    await anext(stream)
    return asyncio.create_task(listened(stream))


@in_virtual_time
async def test_the_newest_stream_goes_on_with_the_conversation_and_the_older_one_is_told() -> None:
    site = Site()
    session = await site.session()
    older = await begun(site.stream(session))

    newer = site.stream(session)
    await anext(newer)

    with pytest.raises(StreamTakenOverError):
        await older
    _, second = site.workers.talks
    assert site.workers.reasons == ["taken-over"]
    assert second.call.context == b"conversation 1"
    assert second.call.owner_epoch == 2  # its worker is told that the call goes on
    assert site.book.status(session, OWNER).epoch == 1
    assert site.status(session) is SessionStatus.ACTIVE
    assert site.workers.most == 1
    await newer.aclose()
    await site.book.close()


@in_virtual_time
async def test_a_session_has_ended_when_its_worker_has_told_the_last_of_it() -> None:
    site = Site()
    session = await site.session()
    stream = site.stream(session)
    await anext(stream)
    site.workers.leaves.clear()
    await stream.aclose()

    ending = asyncio.create_task(site.book.end(session, OWNER, SessionStatus.COMPLETED))
    await asyncio.sleep(1.0)
    assert (ending.done(), site.status(session)) == (False, SessionStatus.COMPLETED)
    assert site.records.ends == []
    site.workers.leaves.set()
    await ending

    assert site.records.ends == [SessionStatus.COMPLETED]
    await site.book.close()
    assert site.records.ends == [SessionStatus.COMPLETED]


@in_virtual_time
async def test_a_session_ends_though_its_worker_does_not_leave() -> None:
    site = Site(stubborn=True)
    session = await site.session()
    stream = site.stream(session)
    await anext(stream)
    site.workers.leaves.clear()
    await stream.aclose()

    began = asyncio.get_running_loop().time()
    await site.book.end(session, OWNER, SessionStatus.COMPLETED)
    assert asyncio.get_running_loop().time() - began <= 2 * LEAVE_S
    site.workers.leaves.set()
    await site.book.close()
    assert site.records.ends == [SessionStatus.COMPLETED]


@in_virtual_time
async def test_a_stream_that_comes_while_the_one_before_is_wound_up_waits_for_it() -> None:
    site = Site()
    session = await site.session()
    older = site.stream(session)
    await anext(older)
    site.workers.leaves.clear()
    await older.aclose()  # the client has cancelled it; its pipeline has not left

    newer = asyncio.create_task(begun(site.stream(session)))
    await asyncio.sleep(1.0)
    waiting = len(site.workers.talks)
    site.workers.leaves.set()
    await newer

    assert (waiting, len(site.workers.talks), site.workers.most) == (1, 2, 1)
    assert site.workers.reasons == ["caller-left"]
    assert site.workers.talks[1].call.context == b"conversation 1"
    await site.book.close()


@in_virtual_time
async def test_a_client_that_does_not_read_keeps_nobody_from_the_conversation() -> None:
    site = Site()
    session = await site.session()
    stuck = asyncio.Event()

    async def half_open() -> None:
        async for _ in site.stream(session):
            stuck.set()
            await asyncio.Event().wait()  # as a write to a client that is gone

    older = asyncio.create_task(half_open())
    await stuck.wait()
    await asyncio.sleep(10)
    loop = asyncio.get_running_loop()
    before = loop.time()

    newer = site.stream(session)
    await anext(newer)

    assert loop.time() - before < 0.1
    assert not older.done()
    await asyncio.sleep(LEAVE_S)
    assert older.cancelled()  # what its RPC held is free
    assert await anext(newer)
    await newer.aclose()
    await site.book.close()


@in_virtual_time
async def test_a_client_that_reads_again_hears_nothing_old_but_that_it_is_over() -> None:
    site = Site()
    session = await site.session()
    older = site.stream(session)
    await anext(older)
    await asyncio.sleep(1)  # a second of speech waits for it

    newer = site.stream(session)
    await anext(newer)

    with pytest.raises(StreamTakenOverError):
        await anext(older)
    await asyncio.sleep(2 * LEAVE_S)  # whoever has been told is not cancelled as well
    await newer.aclose()
    await site.book.close()


@in_virtual_time
async def test_of_streams_that_race_the_last_one_wins_and_every_other_one_is_told() -> None:
    site = Site()
    session = await site.session()
    streams = [await begun(site.stream(session))]
    site.workers.leaves.clear()
    for _ in range(3):
        streams.append(asyncio.create_task(listened(site.stream(session))))
        await asyncio.sleep(0)
    early = await asyncio.gather(*streams[1:3], return_exceptions=True)
    site.workers.leaves.set()
    first = await asyncio.gather(streams[0], return_exceptions=True)

    assert [type(one) for one in (*early, *first)] == [StreamTakenOverError] * 3
    await asyncio.sleep(1)
    assert not streams[3].done()
    assert (len(site.workers.talks), site.workers.most) == (2, 1)
    await site.book.close()
    assert await streams[3] > 0


@in_virtual_time
async def test_a_pipeline_that_never_leaves_is_an_error_in_time_and_the_session_is_kept() -> None:
    site = Site(stubborn=True)
    session = await site.session()
    await anext(site.stream(session))
    site.workers.leaves.clear()
    loop = asyncio.get_running_loop()
    before = loop.time()

    with pytest.raises(StreamBusyError):
        await anext(site.stream(session))

    assert loop.time() - before == pytest.approx(2 * LEAVE_S, abs=0.1)
    assert site.status(session) is SessionStatus.ACTIVE
    site.workers.leaves.set()
    await begun(site.stream(session))
    await site.book.close()


@in_virtual_time
async def test_a_pipeline_that_is_slow_to_leave_is_cancelled_and_the_next_one_begins() -> None:
    site = Site()
    session = await site.session()
    await begun(site.stream(session))
    site.workers.leaves.clear()

    await begun(site.stream(session))

    assert len(site.workers.talks) == 2
    assert site.workers.most == 1
    await site.book.close()


@in_virtual_time
async def test_a_session_that_ends_while_a_stream_waits_is_ended_for_it() -> None:
    site = Site()
    session = await site.session()
    older = await begun(site.stream(session))
    site.workers.leaves.clear()
    newer = asyncio.create_task(listened(site.stream(session)))
    await asyncio.sleep(0.1)

    await site.book.end(session, OWNER, SessionStatus.COMPLETED)
    site.workers.leaves.set()

    with pytest.raises(SessionEndedError):
        await newer
    with pytest.raises(StreamTakenOverError):
        await older
    with pytest.raises(SessionEndedError):
        await anext(site.stream(session))


@in_virtual_time
async def test_another_clients_session_is_not_found_and_not_disturbed() -> None:
    site = Site()
    session = await site.session()
    mine = site.stream(session)
    await anext(mine)
    given = CallStart.model_construct(session_id=session, format="pcm_s16le", sample_rate=8000)

    with pytest.raises(SessionNotFoundError):
        site.book.status(session, "spiffe://callfleet/client/other")
    with pytest.raises(SessionNotFoundError):
        await site.book.end(session, "spiffe://callfleet/client/other", SessionStatus.COMPLETED)
    with pytest.raises(SessionExistsError):
        await site.book.start(given, "spiffe://callfleet/client/other")

    assert await anext(mine)
    await mine.aclose()
    await site.book.close()


@in_virtual_time
async def test_what_the_client_sends_wrong_is_said_and_the_session_waits_for_better() -> None:
    site = Site()
    session = await site.session()

    async def wrong() -> AsyncIterator[Pcm8k]:
        yield Pcm8k.silence(160)
        raise InvalidRequestError(Violation("format", "changes within the stream"))

    with pytest.raises(InvalidRequestError):
        await listened(site.book.hold(session, wrong()))

    assert site.status(session) is SessionStatus.ACTIVE
    await begun(site.stream(session))
    await site.book.close()


@in_virtual_time
async def test_an_agent_that_has_said_good_bye_has_finished_the_session() -> None:
    site = Site()
    session = await site.session()

    older = await begun(site.stream(session))
    site.workers.ends.set_result("completed")

    await older
    assert site.workers.reasons == ["completed"]
    assert site.status(session) is SessionStatus.COMPLETED


@in_virtual_time
async def test_a_session_without_a_stream_is_interrupted_after_half_a_minute() -> None:
    site = Site()
    waits, talks = await site.session(), await site.session()
    watching = asyncio.create_task(site.book.watch())
    await begun(site.stream(talks))

    await asyncio.sleep(WAIT_FOR_STREAM_S - 1)
    before = site.status(waits)
    await asyncio.sleep(3)

    assert (before, site.status(waits), site.status(talks)) == (
        SessionStatus.ACTIVE,
        SessionStatus.INTERRUPTED,
        SessionStatus.ACTIVE,
    )
    watching.cancel()
    await site.book.close()
    assert site.status(talks) is SessionStatus.INTERRUPTED


@in_virtual_time
async def test_one_session_too_many_is_refused() -> None:
    site = Site(most=1)
    session = await site.session()
    with pytest.raises(OverloadedError):
        await site.session()
    site.workers.ready = False
    with pytest.raises(OverloadedError):  # full is said first: another process may have room
        await site.session()
    await site.book.end(session, OWNER, SessionStatus.COMPLETED)
    site.workers.ready = True
    assert await site.session() != session


@in_virtual_time
async def test_without_a_worker_no_session_begins_and_one_that_goes_on_is_kept() -> None:
    site = Site()
    session = await site.session()
    site.workers.ready = False
    site.workers.ends.set_exception(NobodyTalksError("no worker takes the call"))

    with pytest.raises(NoWorkerError):
        await site.session()
    with pytest.raises(NoWorkerError):
        await listened(site.stream(session))

    assert site.status(session) is SessionStatus.ACTIVE


@in_virtual_time
async def test_a_conversation_that_fails_within_is_an_error_and_the_session_is_kept(
    caplog: pytest.LogCaptureFixture,
) -> None:
    site = Site()
    session = await site.session()
    site.workers.ends.set_exception(ValueError("what somebody said"))

    with pytest.raises(EngineFailedError):
        await listened(site.stream(session))

    assert site.status(session) is SessionStatus.ACTIVE
    assert "what somebody said" not in caplog.text


@in_virtual_time
async def test_a_clock_that_fails_ends_the_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    site = Site()
    session = await site.session()

    def fails(self: FakeTalk, tick: MediaTick) -> None:
        raise ValueError("a tick")

    monkeypatch.setattr(FakeTalk, "tick", fails)

    with pytest.raises(EngineFailedError):
        await listened(site.stream(session))


@in_virtual_time
async def test_a_session_is_its_owners_until_it_ends() -> None:
    site = Site()
    session = await site.session()
    assert site.book.owner_of(session) == OWNER
    await site.book.end(session, OWNER, SessionStatus.COMPLETED)
    with pytest.raises(LookupError):
        site.book.owner_of(session)
    with pytest.raises(LookupError):
        site.book.owner_of(uuid4())


@in_virtual_time
async def test_a_session_that_was_cut_off_is_gone_on_with_under_both_ids() -> None:
    site = Site()
    asked, later = uuid4(), uuid4()
    site.records.cut_off[asked] = later

    assert await site.session(asked) == later
    await begun(site.stream(asked))

    assert site.workers.introductions[0].earlier == EARLIER
    assert site.workers.introductions[0].correlation_id == str(later)
    assert site.workers.talks[0].call.uuid == later
    assert site.book.owner_of(later) == OWNER
    assert await site.session(asked) == await site.session(later) == later
    assert site.status(asked) is SessionStatus.ACTIVE
    await site.book.end(asked, OWNER, SessionStatus.COMPLETED)
    with pytest.raises(SessionEndedError):
        await site.session(asked)


@in_virtual_time
async def test_one_that_had_no_stream_for_too_long_is_gone_on_with_as_well() -> None:
    site = Site()
    session, later = await site.session(), uuid4()
    await site.book.end(session, OWNER, SessionStatus.INTERRUPTED)
    with pytest.raises(SessionEndedError):  # nothing is kept that it could go on with
        await site.session(session)
    with pytest.raises(SessionExistsError):
        await site.book.start(
            CallStart.model_construct(session_id=session, format="pcm_s16le", sample_rate=8000),
            "spiffe://callfleet/client/other",
        )
    site.records.cut_off[session] = later
    assert await site.session(session) == later


@in_virtual_time
async def test_one_that_ended_is_over_whatever_the_stores_say() -> None:
    site = Site()
    session = await site.session()
    site.records.cut_off[session] = uuid4()
    await site.book.end(session, OWNER, SessionStatus.COMPLETED)
    with pytest.raises(SessionEndedError):
        await site.session(session)


@in_virtual_time
async def test_requests_for_one_session_at_once_are_one_and_one_that_is_cancelled_costs_none() -> (
    None
):
    site = Site(most=1)
    wanted = uuid4()
    site.records.answers.clear()
    asking = [asyncio.create_task(site.session(wanted)) for _ in range(3)]
    await asyncio.sleep(1)
    asking[0].cancel()
    with pytest.raises(OverloadedError):  # one that begins has a place
        await site.session()
    site.records.answers.set()

    assert await asyncio.gather(*asking[1:]) == [wanted, wanted]
    assert site.records.begins == 1
    assert site.status(wanted) is SessionStatus.ACTIVE
    await site.book.close()


class TestTraces:
    @pytest.fixture
    def spans(self) -> Iterator[InMemorySpanExporter]:
        exporter = InMemorySpanExporter()
        tracing = OtelTracer("test", SimpleSpanProcessor(exporter))
        before = use_tracer(tracing)
        yield exporter
        use_tracer(before)
        tracing.close()

    async def test_a_session_is_a_call_below_its_request_until_its_worker_has_left(
        self, spans: InMemorySpanExporter
    ) -> None:
        site = Site()
        with continued(PARENT):
            session = await site.session()
        await begun(site.stream(session))
        assert site.workers.introductions[0].traceparent.startswith(f"00-{TRACE}-")
        site.workers.leaves.clear()
        ending = asyncio.create_task(site.book.end(session, OWNER, SessionStatus.COMPLETED))
        await asyncio.sleep(0.1)
        assert spans.get_finished_spans() == ()
        site.workers.leaves.set()
        await ending
        await site.book.close()
        (call,) = spans.get_finished_spans()
        assert call.context is not None
        assert call.parent is not None
        assert (call.name, f"{call.context.trace_id:032x}") == ("call", TRACE)
        assert call.status.is_ok or call.status.is_unset
        assert dict(call.attributes or {}) == {
            "call.id": str(session), "call.cause": "completed", "call.turns": 0, "call.moved": 0,
        }  # fmt: skip

    async def test_one_that_was_cut_off_has_failed(self, spans: InMemorySpanExporter) -> None:
        site = Site()
        await site.session()
        await site.book.close()
        (call,) = spans.get_finished_spans()
        assert not call.status.is_ok
        assert dict(call.attributes or {})["error.code"] == "interrupted"
