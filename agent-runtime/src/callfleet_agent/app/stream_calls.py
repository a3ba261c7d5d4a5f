"""The conversations over streams of one process: at most so many, each with one stream at a time.

A stream that breaks leaves its session for half a minute: the next stream of the same session goes
on with the conversation where it was.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol
from uuid import UUID

from callfleet_agent.app.stream_call import StreamLink
from callfleet_agent.audio import Pcm8k
from callfleet_agent.link import Caller, Hello
from callfleet_agent.services.connector import Activity, CallStatus
from callfleet_agent.services.errors import OverloadedError, WrongStateError
from callfleet_agent.services.inputs.speech import CallStart
from callfleet_agent.session.errors import (
    SessionEndedError,
    SessionExistsError,
    SessionNotFoundError,
)
from callfleet_agent.session.record import SessionStatus

WAIT_FOR_STREAM_S: Final = 30.0
REMEMBERED: Final = 1000
_log = logging.getLogger(__name__)
RunCall = Callable[[StreamLink], Awaitable[None]]


class Records(Protocol):
    """Where sessions are recorded; both methods swallow the stores' absence."""

    async def started(self, call: "StreamCall") -> None:
        """A conversation began."""
        ...

    async def ended(self, call: "StreamCall") -> None:
        """A conversation is over."""
        ...


@dataclass(slots=True)
class StreamCall:
    """One session."""

    session_id: UUID
    owner: str
    given: CallStart
    started_at: datetime
    began: float
    status: SessionStatus = SessionStatus.ACTIVE
    link: StreamLink | None = None
    context: bytes | None = None
    epoch: int = 0
    turns: int = 0
    left_at: float = 0.0
    ended_at: float | None = None

    def state(self, now: float) -> CallStatus:
        """How it is doing."""
        link = self.link
        speaking = link is not None and link.speaking
        return CallStatus(
            session_id=self.session_id,
            status=self.status,
            activity=Activity.SPEAKING if speaking else Activity.LISTENING,
            started_at=self.started_at,
            lasted_s=(self.ended_at or now) - self.began,
            turns=self.turns + (link.turns if link else 0),
            epoch=link.epoch if link else self.epoch,
            format=self.given.format,
            sample_rate=self.given.sample_rate,
        )


class StreamCallBook:
    """The calls of this process, as AIVoiceConnectorService wants them."""

    def __init__(
        self,
        run_call: RunCall,
        records: Records,
        *,
        most: int,
        now: Callable[[], datetime],
        new_id: Callable[[], UUID],
    ) -> None:
        self._run_call = run_call
        self._records = records
        self._most = most
        self._now = now
        self._new_id = new_id
        self._calls: dict[UUID, StreamCall] = {}

    async def start(self, given: CallStart, owner: str) -> CallStatus:
        """A new session, or the one that has this id."""
        session_id = given.session_id or self._new_id()
        call = self._calls.get(session_id)
        if call is None:
            active = sum(one.status is SessionStatus.ACTIVE for one in self._calls.values())
            if active >= self._most:
                raise OverloadedError("the pod holds as many calls as it may")
            call = StreamCall(session_id, owner, given, self._now(), time.monotonic())
            call.left_at = call.began
            self._calls[session_id] = call
            self._forget_old()
            await self._records.started(call)
        elif call.owner != owner:
            raise SessionExistsError
        return call.state(time.monotonic())

    def status(self, session_id: UUID, owner: str) -> CallStatus:
        """How it is doing."""
        return self._found(session_id, owner).state(time.monotonic())

    async def end(self, session_id: UUID, owner: str, status: SessionStatus) -> CallStatus:
        """End it; one that has ended stays as it is."""
        call = self._found(session_id, owner)
        await self._finish(call, status)
        return call.state(time.monotonic())

    async def hold(
        self, session_id: UUID, sound: AsyncIterator[Pcm8k]
    ) -> AsyncIterator[tuple[Pcm8k, bool]]:
        """Carry the conversation for as long as the stream and the call last."""
        call = self._calls[session_id]
        if call.status is not SessionStatus.ACTIVE:
            raise SessionEndedError
        if call.link is not None:
            raise WrongStateError("STREAM_EXISTS", "the session has a stream already")
        link = call.link = self._link(call)
        hearing = asyncio.create_task(link.hear(sound))
        running = asyncio.create_task(self._run(call, link))
        ticking = asyncio.create_task(link.tick())
        hearing.add_done_callback(lambda _: link.over("caller-left"))
        running.add_done_callback(lambda _: link.close())
        try:
            async for piece in link.sound():
                yield piece
            await asyncio.wait({running}, timeout=5.0)
            if hearing.done() and not hearing.cancelled():
                hearing.result()  # what the client sent was wrong
        finally:
            link.close()
            for task in (hearing, ticking, running):
                task.cancel()
            await asyncio.gather(hearing, ticking, running, return_exceptions=True)
            self._left(call, link)
        if link.reason is not None:
            await self._finish(call, SessionStatus.COMPLETED)

    async def watch(self) -> None:
        """End sessions whose client does not come back; until cancelled."""
        while True:
            await asyncio.sleep(1.0)
            before = time.monotonic() - WAIT_FOR_STREAM_S
            for call in list(self._calls.values()):
                waits = call.link is None and call.left_at < before
                if waits and call.status is SessionStatus.ACTIVE:
                    await self._finish(call, SessionStatus.INTERRUPTED)

    def _found(self, session_id: UUID, owner: str) -> StreamCall:
        call = self._calls.get(session_id)
        if call is None or call.owner != owner:
            raise SessionNotFoundError
        return call

    def _link(self, call: StreamCall) -> StreamLink:
        phone = call.given.caller_phone
        hello = Hello(
            epoch=call.epoch,
            call_number=1,
            dialed=call.given.dialed_number,
            caller=Caller(phone or None, trusted=False, withheld=not phone),
            resumed=call.context is not None,
            correlation_id=str(call.session_id),
        )
        return StreamLink(call.session_id, hello, call.context)

    async def _run(self, call: StreamCall, link: StreamLink) -> None:
        try:
            await self._run_call(link)
        except Exception as error:
            # The error's text may hold what was said: its type is enough.
            _log.error(
                "a conversation failed",
                extra={"session_id": str(call.session_id), "error": type(error).__name__},
            )

    def _left(self, call: StreamCall, link: StreamLink) -> None:
        call.context, call.epoch = link.context, link.epoch + 1
        call.turns += link.turns
        call.link, call.left_at = None, time.monotonic()

    async def _finish(self, call: StreamCall, status: SessionStatus) -> None:
        if call.status is not SessionStatus.ACTIVE:
            return
        call.status, call.ended_at = status, time.monotonic()
        if call.link is not None:
            call.link.over("ended")
        await self._records.ended(call)

    def _forget_old(self) -> None:
        ended = [one for one in self._calls.values() if one.status is not SessionStatus.ACTIVE]
        for call in ended[: max(0, len(self._calls) - REMEMBERED)]:
            del self._calls[call.session_id]
