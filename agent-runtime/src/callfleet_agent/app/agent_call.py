"""One call of a connector, from its INVITE to its call detail record.

The pure `Call` says where the call stands; this object does what follows from it: ports, answer,
media, conversation, BYE. SIP's events come in from outside; everything else is one task.
"""

import asyncio
import contextlib
import logging
import random
from typing import Any, Final
from uuid import UUID

from callfleet_agent.app.call_detail import call_detail
from callfleet_agent.app.call_media import CallMedia
from callfleet_agent.app.call_parts import CallParts
from callfleet_agent.app.call_session import caller_of, ended_at, new_id, session_of, status_of
from callfleet_agent.app.call_turns import CallTurns
from callfleet_agent.app.conversation import Conversation, Introduction, NobodyTalksError
from callfleet_agent.app.earlier_calls import Search
from callfleet_agent.app.logs import correlated
from callfleet_agent.app.traced_call import TracedCall
from callfleet_agent.rtp import MediaSession, MediaTick
from callfleet_agent.session import Call, CallEvent, CallState, EndedBy, Refusal
from callfleet_agent.sip import events, sdp
from callfleet_agent.sip.call import Call as SipCall
from callfleet_agent.sip.dialog import Dialog
from callfleet_agent.sip.errors import LocalProtocolError, NotAcceptableError
from callfleet_agent.time_limit import at_most
from callfleet_agent.tracing import continued, traceparent_of
from callfleet_agent.transport.rtp_port import NoPortsFree, RtpEndpoint

BYE_LIMIT_S: Final = 33.0
_log = logging.getLogger(__name__)


class AgentCall:
    """Runs one admitted call. `events` are given by the connector, from the SIP endpoint."""

    def __init__(self, parts: CallParts, incoming: events.IncomingCall, number: int) -> None:
        self._parts = parts
        self._sip: SipCall = incoming.call
        self._offer = incoming.offer
        self._number = number
        self.call: Call[Dialog] = Call(uuid=new_id(), offered_at=parts.clock())
        loop = asyncio.get_running_loop()
        self._over: asyncio.Future[None] = loop.create_future()
        self._ended = asyncio.Event()
        self._established: asyncio.Future[sdp.SessionDescription | None] = loop.create_future()
        cname = f"{random.Random(self.call.uuid.int).getrandbits(64):016x}"
        self._media = CallMedia(parts, self._sip, cname)
        self._talk: Conversation | None = None
        self._trace = TracedCall(str(self.call.uuid), traceparent_of(self._sip.info.traceparent))
        if self._trace.traceparent:
            self._sip.fixed_headers = (("Traceparent", self._trace.traceparent),)
        self._story = parts.book.story(self.call.uuid)
        self._turns = CallTurns(parts.metrics, self._trace, self._story, parts.clock)
        info = self._sip.info
        self._earlier = Search(parts.book.earlier, caller_of(info), info.call_id, self.call.uuid)
        self._cause = ""

    @property
    def uuid(self) -> UUID:
        """The call's correlation id."""
        return self.call.uuid

    async def run(self) -> None:
        """Answer, converse, end, and write the call detail record."""
        with correlated(str(self.uuid)), continued(self._trace.traceparent):
            try:
                await self._answer_and_talk()
            except Exception:
                _log.exception("a call failed")
                self._break_off()
            finally:
                await self._finish()

    async def _answer_and_talk(self) -> None:
        try:
            endpoint = await RtpEndpoint.open(self._parts.bind, self._parts.ports)
        except NoPortsFree:
            self._refuse(Refusal.NO_PORT, 503, retry_after=10)
            return
        try:
            media = self._answer(endpoint.port)
            if media is None and self.call.is_over:
                return
            if media is None:
                media = await self._answer_to_our_offer()
                if media is None:
                    return
            session = self._media.open(media, endpoint, self._on_tick)
        finally:
            if not self._media.is_open:
                endpoint.close()
        await self._talk_until_over(session)

    def _answer(self, port: int) -> sdp.NegotiatedMedia | None:
        """Send 200, or 488 and end; None where the caller's ACK will bring the answer."""
        if self.call.is_over:  # cancelled while the ports were opened
            return None
        try:
            media = self._media.answer(port, self._offer)
        except NotAcceptableError as error:
            self._refuse(Refusal.NO_CODEC, 488, warning=(error.warning, error.reason))
            return None
        self._move(CallEvent.ANSWERED)
        self._parts.metrics.call_answered(self._parts.clock() - self.call.offered_at)
        self._story.started(session_of(self.call.uuid, self._sip.info, self._parts.about))
        return media

    async def _answer_to_our_offer(self) -> sdp.NegotiatedMedia | None:
        """The negotiated media once the ACK brought the answer to our offer."""
        waits: tuple[asyncio.Future[Any], ...] = (self._established, self._over)
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        answer = self._established.result() if self._established.done() else None
        media = None if answer is None else self._media.accepted(answer)
        if media is None:
            self._hang_up("no-media")
        return media

    async def _talk_until_over(self, session: MediaSession) -> None:
        talk = self._talk = Conversation(
            self.call,
            Introduction(
                self._number,
                self._sip.info.number or "",
                caller_of(self._sip.info),
                str(self.uuid),
                self._trace.traceparent,
                await self._earlier.found(),
            ),
            session,
            self._parts.supervisor,
            self._turns,
        )
        self._media.start()
        conversation = asyncio.ensure_future(talk.run())
        try:
            waits: tuple[asyncio.Future[Any], ...] = (conversation, self._over)
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            if conversation.done():
                self._cause = conversation.result()
                self._hang_up(self._cause)
        except NobodyTalksError:
            _log.exception("a call is ended because no worker can take it")
            self._cause = "no-worker"
            self._hang_up(self._cause, event=CallEvent.FAILED)
        finally:
            conversation.cancel()
            with contextlib.suppress(asyncio.CancelledError, NobodyTalksError):
                await conversation
            self._follow(talk)

    async def _finish(self) -> None:
        parts = self._parts
        await self._earlier.end()
        stats = await self._media.close()
        if self._talk is not None:
            await self._talk.end(_link_reason(self.call, self._cause))
            self._follow(self._talk)
        if not self.call.is_over:
            with contextlib.suppress(TimeoutError):
                async with at_most(BYE_LIMIT_S):
                    await self._ended.wait()
        if not self.call.is_over:
            self._move(CallEvent.FAILED)
        if stats is not None:
            parts.metrics.rtp_of_call(stats)
        if self.call.answered_at is not None:
            parts.metrics.call_ended(self.call.ended_by, self.call.talked_s())
        self._story.ended(status_of(self.call, self._cause), ended_at(self.call, parts.clock()))
        fields = call_detail(self.call, self._cause, self._turns.turns, self._media.codec, stats)
        _log.info("call detail record", extra=fields)
        self._trace.end(
            {
                "codec": self._media.codec,
                "ended_by": self.call.ended_by.value,
                "cause": self._cause or None,
                "turns": self._turns.turns,
                "moved": self.call.workers_lost,
            },
            failed=self._cause if self.call.ended_by is EndedBy.FAILED else "",
        )

    # from the SIP endpoint

    def on_event(self, event: events.Event) -> None:
        """SIP tells something about this call."""
        match event:
            case events.Established():
                self._move(CallEvent.CONFIRMED)
                if not self._established.done():
                    self._established.set_result(event.answer)
                elif event.answer is not None:
                    self._media.reanswered(event.answer)
            case events.CallCancelled():
                self._end(CallEvent.CANCELLED)
            case events.Failed():
                self._end(CallEvent.FAILED)
            case events.CallEnded():
                self._cause = self._cause or event.cause.value.replace("_", "-")
                self._end(_END_EVENTS[event.cause])
            case events.Reoffered():
                self._media.reoffered(event.offer)
            case events.DtmfInfo() if self._talk is not None:
                self._talk.key(event.digit, event.duration_ms)
            case _:
                _log.debug("an event of SIP changes nothing", extra={"event": type(event).__name__})

    def hang_up(self, reason: str) -> None:
        """The connector ends the call, for example because it is told to stop at once."""
        self._cause = self._cause or reason
        self._hang_up(reason)
        self._let_go()

    def give_up(self) -> None:
        """The process leaves: nobody will hear the answer to our BYE."""
        self._end(CallEvent.FAILED)

    # from the media and the conversation

    def _on_tick(self, tick: MediaTick) -> None:
        if self._talk is not None:
            self._talk.tick(tick)
        if self._over.done():
            return
        if self._media.silent_for() > self._parts.media_timeout_s:
            _log.warning("no sound came from the caller for too long")
            self._cause = "media-timeout"
            self._hang_up("media-timeout", event=CallEvent.FAILED)
            self._let_go()

    @property
    def waits(self) -> bool:
        """Whether no worker has the call that should have one."""
        return self._talk is not None and self._talk.waits and not self.call.is_over

    # inside

    def _follow(self, talk: Conversation) -> None:
        """Take over what only the conversation knows of the call."""
        self.call = self.call.with_conversation(talk.call)

    def _move(self, event: CallEvent) -> None:
        if self.call.knows(event):
            self.call = self.call.on(event, at=self._parts.clock())
        if self.call.is_over:
            self._ended.set()

    def _end(self, event: CallEvent) -> None:
        self._move(event)
        self._let_go()

    def _let_go(self) -> None:
        """The call's task has nothing to wait for but its end."""
        if not self._over.done():
            self._over.set_result(None)

    def _refuse(
        self,
        reason: Refusal,
        status: int,
        *,
        retry_after: int | None = None,
        warning: tuple[int, str] | None = None,
    ) -> None:
        self._parts.metrics.call_refused(reason)
        self._cause = reason.value
        with self._parts.sip.commands() as now, contextlib.suppress(LocalProtocolError):
            self._sip.reject(status, retry_after=retry_after, warning=warning, now=now)
        self._end(CallEvent.REFUSED)

    def _break_off(self) -> None:
        """Our own failure: the proxy may try another pod, or the caller hears the end at once."""
        self._cause = self._cause or "internal"
        if self.call.state is CallState.OFFERED:
            self._refuse(Refusal.INTERNAL, 503, retry_after=5)
        else:
            self._hang_up(self._cause, event=CallEvent.FAILED)

    def _hang_up(self, reason: str, event: CallEvent = CallEvent.HANGUP) -> None:
        with self._parts.sip.commands() as now, contextlib.suppress(LocalProtocolError):
            self._sip.hang_up(now=now)
        _log.info("the agent ends the call", extra={"reason": reason})
        self._move(event)


_END_EVENTS: Final = {
    events.EndCause.REMOTE: CallEvent.LEFT,
    events.EndCause.LOCAL: CallEvent.CLOSED,
    events.EndCause.NO_ACK: CallEvent.FAILED,
    events.EndCause.SESSION_EXPIRED: CallEvent.FAILED,
    events.EndCause.TRANSPORT: CallEvent.FAILED,
}


def _link_reason(call: Call[Dialog], cause: str) -> str:
    if call.ended_by is EndedBy.AGENT:
        return "completed"
    return "caller-hung-up" if call.ended_by is EndedBy.CALLER else (cause or "failed")
