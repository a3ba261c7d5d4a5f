"""The conversations over streams of one process: at most so many, each with one stream at a time.

A stream that breaks leaves its session for half a minute: the next stream of the same session goes
on with the conversation where it was. Whether the one before it has broken is not asked: its client
may be gone without a word, so the newest stream takes over. A session that was cut off is gone on
with in another one, which is found under both ids.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Final, Protocol
from uuid import UUID

from callfleet_agent.app.call_story import Story
from callfleet_agent.app.conversation import Introduction, Observer
from callfleet_agent.app.stream_hold import Stream, Talk
from callfleet_agent.app.stream_media import StreamMedia
from callfleet_agent.app.stream_records import Beginning, unnamed
from callfleet_agent.app.stream_turns import StreamTurns
from callfleet_agent.app.traced_call import TracedCall
from callfleet_agent.audio import Pcm8k
from callfleet_agent.link import Caller, Earlier
from callfleet_agent.services.connector import Activity, CallStatus
from callfleet_agent.services.errors import (
    NoWorkerError,
    OverloadedError,
    StreamBusyError,
    StreamTakenOverError,
)
from callfleet_agent.services.inputs.speech import CallStart
from callfleet_agent.session import Call
from callfleet_agent.session.errors import (
    SessionEndedError,
    SessionExistsError,
    SessionNotFoundError,
)
from callfleet_agent.session.record import CallSession, SessionStatus
from callfleet_agent.sip.dialog import Dialog
from callfleet_agent.tracing import current_traceparent

WAIT_FOR_STREAM_S: Final = 30.0
LEAVE_S: Final = 5.0
REMEMBERED: Final = 1000
_log = logging.getLogger(__name__)


class Workers(Protocol):
    """Who holds conversations."""

    @property
    def ready(self) -> bool:
        """Whether one can begin now."""

    def converse(
        self,
        call: Call[Dialog],
        introduction: Introduction,
        media: StreamMedia,
        observer: Observer,
    ) -> Talk:
        """The conversation on this media, not begun."""

    def observe(self, story: Story, trace: TracedCall) -> StreamTurns:
        """Whoever is told of a session's turns."""


class Records(Protocol):
    """Where sessions are recorded."""

    def story(self, session_id: UUID, owner: str) -> Story:
        """What a conversation tells of itself."""
        ...

    async def begun(self, session: CallSession) -> Beginning:
        """What it is recorded as; a store that is away says nothing.

        Raises:
            SessionExistsError, SessionEndedError, SessionElsewhereError: it cannot begin.
        """
        ...

    async def settled(self) -> None:
        """Return when the stores have all that was told, or a moment later if they are away."""
        ...


@dataclass(slots=True)
class StreamCall:
    """One session."""

    session_id: UUID
    owner: str
    given: CallStart
    earlier: Earlier | None
    story: Story
    trace: TracedCall
    observer: StreamTurns
    talk: Call[Dialog]  # who holds the conversation, and where it is
    started_at: datetime
    began: float
    status: SessionStatus = SessionStatus.ACTIVE
    stream: Stream | None = None
    overtaken: asyncio.Event | None = None  # of the stream that waits for its turn
    epoch: int = 0
    left_at: float = 0.0
    ended_at: float | None = None
    over_at: datetime | None = None  # the same, as a date

    def state(self, now: float) -> CallStatus:
        """How it is doing."""
        media = self.stream.media if self.stream else None
        activity = Activity.LISTENING if media is None else self.observer.activity
        if media is not None and media.speaking:
            activity = Activity.SPEAKING
        return CallStatus(
            session_id=self.session_id,
            status=self.status,
            activity=activity,
            started_at=self.started_at,
            lasted_s=(self.ended_at or now) - self.began,
            turns=self.observer.turns,
            epoch=media.epoch if media else self.epoch,
            format=self.given.format,
            sample_rate=self.given.sample_rate,
        )


class StreamCallBook:
    """The calls of this process, as AIVoiceConnectorService wants them."""

    def __init__(
        self,
        workers: Workers,
        records: Records,
        *,
        most: int,
        now: Callable[[], datetime],
        new_id: Callable[[], UUID],
        leave_s: float = LEAVE_S,
    ) -> None:
        self._workers = workers
        self._records = records
        self._most = most
        self._now = now
        self._new_id = new_id
        self._leave_s = leave_s
        self._calls: dict[UUID, StreamCall] = {}
        self._beginning: dict[UUID, asyncio.Task[StreamCall]] = {}
        self._gone_on: dict[UUID, UUID] = {}  # from sessions that were cut off

    async def start(self, given: CallStart, owner: str) -> CallStatus:
        """A new session, or the one that has this id, or one that goes on with it.

        Raises:
            SessionEndedError: the session of this id is over, and was not cut off a moment ago.
            SessionExistsError: it is another client's.
            SessionElsewhereError: another replica has it.
            OverloadedError, NoWorkerError: none can begin now.
        """
        session_id = self._named(given.session_id or self._new_id())
        call = self._calls.get(session_id)
        if call is None or call.status is SessionStatus.INTERRUPTED:
            call = await self._one_of(session_id, given, owner)
        if call.owner != owner:
            raise SessionExistsError
        if call.status is not SessionStatus.ACTIVE:
            raise SessionEndedError
        return call.state(_moment())

    async def _one_of(self, session_id: UUID, given: CallStart, owner: str) -> StreamCall:
        """The same session for all that ask for it while it begins; it is not broken off with a
        request, since the stores know of it."""
        beginning = self._beginning.get(session_id)
        if beginning is None:
            former = self._calls.get(session_id)
            if former is not None and former.owner != owner:
                raise SessionExistsError
            self._check_room()
            beginning = asyncio.create_task(self._begun(session_id, given, owner))
            self._beginning[session_id] = beginning
            beginning.add_done_callback(lambda _: self._beginning.pop(session_id))
        return await asyncio.shield(beginning)

    def _check_room(self) -> None:
        active = sum(one.status is SessionStatus.ACTIVE for one in self._calls.values())
        if active + len(self._beginning) >= self._most:
            raise OverloadedError("the pod holds as many calls as it may")
        if not self._workers.ready:
            raise NoWorkerError

    async def _begun(self, session_id: UUID, given: CallStart, owner: str) -> StreamCall:
        started_at, began = self._now(), _moment()
        beginning = await self._records.begun(
            CallSession(
                session_id=session_id,
                sip_call_id=given.sip_call_id or unnamed(session_id),
                caller_phone=given.caller_phone,
                call_start_time=started_at,
            )
        )
        session = beginning.session
        if session.session_id in self._calls:  # it is over, and there is nothing to go on with
            raise SessionEndedError
        story = self._records.story(session.session_id, owner)
        trace = TracedCall(str(session.session_id), current_traceparent())
        call = StreamCall(
            session.session_id,
            owner,
            given,
            beginning.earlier,
            story,
            trace,
            self._workers.observe(story, trace),
            Call(uuid=session.session_id, offered_at=began),
            started_at,
            began,
            left_at=_moment(),
        )
        self._calls[session.session_id] = call
        if session.session_id != session_id:
            self._gone_on[session_id] = session.session_id
        self._forget_old()
        story.started(session)
        return call

    def _named(self, session_id: UUID) -> UUID:
        """The session that goes on with this one; mostly it is the same."""
        while (later := self._gone_on.get(session_id)) is not None:
            session_id = later
        return session_id

    def status(self, session_id: UUID, owner: str) -> CallStatus:
        """How it is doing."""
        return self._found(session_id, owner).state(_moment())

    def owner_of(self, session_id: UUID) -> str:
        """Whose a session is. Raises LookupError when none of this id goes on."""
        call = self._calls[session_id]
        if call.status is not SessionStatus.ACTIVE:
            raise LookupError("the session has ended")
        return call.owner

    async def end(self, session_id: UUID, owner: str, status: SessionStatus) -> CallStatus:
        """End it, with what its worker still has to tell; one that has ended stays as it is."""
        call = self._found(session_id, owner)
        stream = call.stream
        self._finish(call, status)
        if stream is not None:
            await asyncio.wait([stream.gone], timeout=2 * self._leave_s)
        await self._records.settled()
        return call.state(_moment())

    async def hold(
        self, session_id: UUID, sound: AsyncIterator[Pcm8k]
    ) -> AsyncGenerator[tuple[Pcm8k, bool], None]:
        """Carry the conversation for as long as the stream and the call last. The newest stream
        takes over, and the one before it hands over to it.

        Raises:
            SessionEndedError, StreamBusyError: it cannot be held.
            StreamTakenOverError: a newer stream has taken over.
        """
        call = self._calls[self._named(session_id)]
        await self._turn_of(call)
        stream = self._begin(call, sound)
        try:
            async for piece in stream.media.sound():
                yield piece
            stream.check()
            await asyncio.shield(stream.gone)
        finally:
            stream.leave()

    async def _turn_of(self, call: StreamCall) -> None:
        """Return when no other stream has the conversation."""
        if call.overtaken is not None:
            call.overtaken.set()
            call.overtaken = None
        if call.status is SessionStatus.ACTIVE and call.stream is not None:
            call.overtaken = overtaken = asyncio.Event()
            call.stream.take_over()
            await self._first_of(call.stream.gone, overtaken)
            if overtaken.is_set():
                raise StreamTakenOverError
            call.overtaken = None
            if call.stream is not None:
                raise StreamBusyError
        if call.status is not SessionStatus.ACTIVE:
            raise SessionEndedError

    async def _first_of(self, gone: "asyncio.Task[None]", overtaken: asyncio.Event) -> None:
        waiting = asyncio.create_task(overtaken.wait())
        try:
            await asyncio.wait(
                {gone, waiting},
                timeout=2 * self._leave_s,  # the pipeline's time to leave, and to be cancelled
                return_when=asyncio.FIRST_COMPLETED,
            )
        finally:
            waiting.cancel()

    def _begin(self, call: StreamCall, sound: AsyncIterator[Pcm8k]) -> Stream:
        media = StreamMedia(call.session_id.int, call.epoch)
        talk = self._workers.converse(call.talk, _introduction(call), media, call.observer)
        call.stream = Stream(media, talk, sound, partial(self._left, call), self._leave_s)
        return call.stream

    async def watch(self) -> None:
        """End sessions whose client does not come back; until cancelled."""
        while True:
            await asyncio.sleep(1.0)
            before = _moment() - WAIT_FOR_STREAM_S
            for call in list(self._calls.values()):
                waits = call.stream is None and call.left_at < before
                if waits and call.status is SessionStatus.ACTIVE:
                    self._finish(call, SessionStatus.INTERRUPTED)

    async def close(self) -> None:
        """The process leaves: what goes on is cut off."""
        await asyncio.gather(*self._beginning.values(), return_exceptions=True)
        for call in list(self._calls.values()):
            self._finish(call, SessionStatus.INTERRUPTED)
        leaving = {call.stream.gone for call in self._calls.values() if call.stream is not None}
        if leaving:
            _, stuck = await asyncio.wait(leaving, timeout=2 * self._leave_s)
            for task in stuck:
                task.cancel()

    def _found(self, session_id: UUID, owner: str) -> StreamCall:
        call = self._calls.get(self._named(session_id))
        if call is None or call.owner != owner:
            raise SessionNotFoundError
        return call

    def _left(self, call: StreamCall, stream: Stream) -> None:
        call.talk = stream.talk.call.on_another_line(at=_moment())
        call.epoch = stream.media.epoch
        call.stream, call.left_at = None, _moment()
        if call.status is not SessionStatus.ACTIVE:
            self._is_over(call)
        elif stream.said is not None and not stream.taken_over:
            self._finish(call, SessionStatus.COMPLETED)

    def _finish(self, call: StreamCall, status: SessionStatus) -> None:
        if call.status is not SessionStatus.ACTIVE:
            return
        call.status, call.ended_at, call.over_at = status, _moment(), self._now()
        if call.stream is not None:
            call.stream.end("ended")  # what its worker tells still belongs to the session
        else:
            self._is_over(call)

    def _is_over(self, call: StreamCall) -> None:
        """Nothing more comes of it."""
        _end_trace(call)
        call.story.ended(call.status, call.over_at or self._now())

    def _forget_old(self) -> None:
        ended = [one for one in self._calls.values() if one.status is not SessionStatus.ACTIVE]
        for call in ended[: max(0, len(self._calls) - REMEMBERED)]:
            del self._calls[call.session_id]
        self._gone_on = {a: b for a, b in self._gone_on.items() if self._named(b) in self._calls}


def _end_trace(call: StreamCall) -> None:
    status = call.status.lower()
    call.trace.end(
        {"cause": status, "turns": call.observer.turns, "moved": call.talk.workers_lost},
        failed="" if call.status is SessionStatus.COMPLETED else status,
    )


def _moment() -> float:
    return asyncio.get_running_loop().time()


def _introduction(call: StreamCall) -> Introduction:
    phone = call.given.caller_phone
    return Introduction(
        call_number=1,
        dialed=call.given.dialed_number,
        caller=Caller(phone or None, trusted=False, withheld=not phone),
        correlation_id=str(call.session_id),
        traceparent=call.trace.traceparent,
        earlier=call.earlier,
    )
