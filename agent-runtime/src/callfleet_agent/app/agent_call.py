"""One call of a connector, from its INVITE to its call detail record.

The pure `Call` says where the call stands; this object does what follows from it: ports, answer,
media, conversation, BYE. SIP's events come in from outside; everything else is one task.
"""

import asyncio
import contextlib
import logging
import random
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Final, Protocol
from uuid import UUID, uuid4

from callfleet_agent.app.call_detail import answer_ms_of, call_detail, plain
from callfleet_agent.app.conversation import Conversation, Introduction, NobodyTalksError
from callfleet_agent.app.logs import correlated
from callfleet_agent.app.media_terms import media_settings
from callfleet_agent.app.metrics import AgentMetrics
from callfleet_agent.app.supervisor import Supervisor
from callfleet_agent.app.traced_call import TracedCall
from callfleet_agent.app.turn_clock import TurnClock
from callfleet_agent.link import Caller
from callfleet_agent.rtp import MediaSession, MediaTick
from callfleet_agent.session import Call, CallEvent, CallState, EndedBy, Refusal
from callfleet_agent.sip import events, sdp
from callfleet_agent.sip.call import Call as SipCall
from callfleet_agent.sip.dialog import Dialog
from callfleet_agent.sip.errors import LocalProtocolError, NotAcceptableError, RemoteProtocolError
from callfleet_agent.tracing import continued, traceparent_of
from callfleet_agent.transport.rtp_call import RtpCall
from callfleet_agent.transport.rtp_port import NoPortsFree, PortRange, RtpEndpoint
from callfleet_agent.transport.ticker import Ticker

BYE_LIMIT_S: Final = 33.0
_log = logging.getLogger(__name__)


class SipCommands(Protocol):
    """The SIP endpoint as a call uses it: commands are sent when the block ends."""

    def commands(self) -> AbstractContextManager[float]:
        """Gives `now` for commands."""


@dataclass(frozen=True, slots=True)
class CallParts:
    """What a connector lends to each of its calls."""

    sip: SipCommands
    ports: PortRange
    ticker: Ticker
    supervisor: Supervisor
    metrics: AgentMetrics
    clock: Callable[[], float]
    rng: random.Random
    bind: str
    address: str
    codecs: tuple[str, ...]
    media_timeout_s: float


class AgentCall:
    """Runs one admitted call. `events` are given by the connector, from the SIP endpoint."""

    def __init__(self, parts: CallParts, incoming: events.IncomingCall, number: int) -> None:
        self._parts = parts
        self._sip: SipCall = incoming.call
        self._offer = incoming.offer
        self._number = number
        self.call: Call[Dialog] = Call(uuid=uuid4(), offered_at=parts.clock())
        self._over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._ended = asyncio.Event()
        self._established: asyncio.Future[sdp.SessionDescription | None] = (
            asyncio.get_running_loop().create_future()
        )
        self._local: sdp.LocalMedia | None = None
        self._rtp: RtpCall | None = None
        self._media: MediaSession | None = None
        self._talk: Conversation | None = None
        self._cname = f"{random.Random(self.call.uuid.int).getrandbits(64):016x}"
        self._turns = 0
        self._clock = TurnClock()
        self._trace = TracedCall(str(self.call.uuid), traceparent_of(self._sip.info.traceparent))
        if self._trace.traceparent:
            self._sip.fixed_headers = (("Traceparent", self._trace.traceparent),)
        self._receiving = True
        self._codec: str | None = None
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
            media = self._negotiate_and_answer(endpoint.port)
            if media is None and self.call.is_over:
                return
            if media is None:
                media = await self._answer_to_our_offer()
                if media is None:
                    return
            session = MediaSession(
                media_settings(media, self._cname), rng=self._parts.rng, now=self._parts.clock()
            )
            self._receiving, self._codec = media.receiving, media.codec
            self._media = session
            self._rtp = RtpCall(endpoint, session, self._parts.ticker, on_tick=self._on_tick)
        finally:
            if self._rtp is None:
                endpoint.close()
        await self._talk_until_over(session)

    def _negotiate_and_answer(self, port: int) -> sdp.NegotiatedMedia | None:
        """Send 200, or 488 and end; None where the caller's ACK will bring the answer."""
        parts = self._parts
        self._local = sdp.LocalMedia(parts.address, port, codecs=parts.codecs)
        media: sdp.NegotiatedMedia | None = None
        if self.call.is_over:  # cancelled while the ports were opened
            return None
        try:
            with parts.sip.commands() as now:
                origin = self._sip.origin(parts.address)
                if self._offer is None:
                    self._sip.answer(sdp.make_offer(self._local, origin), now=now)
                else:
                    negotiated = sdp.make_answer(self._offer, self._local, origin)
                    self._sip.answer(negotiated.description, now=now)
                    media = negotiated.media
        except NotAcceptableError as error:
            self._refuse(Refusal.NO_CODEC, 488, warning=(error.warning, error.reason))
            return None
        self._move(CallEvent.ANSWERED)
        parts.metrics.call_answered(parts.clock() - self.call.offered_at)
        return media

    async def _answer_to_our_offer(self) -> sdp.NegotiatedMedia | None:
        """The negotiated media once the ACK brought the answer to our offer."""
        waits: tuple[asyncio.Future[Any], ...] = (self._established, self._over)
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        answer = self._established.result() if self._established.done() else None
        if answer is not None and self._local is not None:
            with contextlib.suppress(RemoteProtocolError):
                ours = sdp.make_offer(self._local, self._sip.origin(self._parts.address))
                return sdp.accept_answer(ours, answer)
        self._hang_up("no-media")
        return None

    async def _talk_until_over(self, session: MediaSession) -> None:
        about = self._sip.info
        talk = self._talk = Conversation(
            self.call,
            Introduction(
                self._number,
                about.number or "",
                Caller(about.caller.id, about.caller.trusted, about.caller.withheld),
                str(self.uuid),
                self._trace.traceparent,
            ),
            session,
            self._parts.supervisor,
            self,
        )
        if self._rtp is not None:
            self._rtp.start()
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
        stats = None if self._media is None else self._media.stats(parts.clock())
        if self._rtp is not None:
            await self._rtp.close()
        if self._talk is not None:
            await self._talk.end(_link_reason(self.call, self._cause))
            self._follow(self._talk)
        if not self.call.is_over:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(BYE_LIMIT_S):
                    await self._ended.wait()
        if not self.call.is_over:
            self._move(CallEvent.FAILED)
        if stats is not None:
            parts.metrics.rtp_of_call(stats)
        if self.call.answered_at is not None:
            parts.metrics.call_ended(self.call.ended_by, self.call.talked_s())
        fields = call_detail(self.call, self._cause, self._turns, self._codec, stats)
        _log.info("call detail record", extra=fields)
        self._trace.end(
            {
                "codec": self._codec,
                "ended_by": self.call.ended_by.value,
                "cause": self._cause or None,
                "turns": self._turns,
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
                    self._renegotiated_by_ack(event.answer)
            case events.CallCancelled():
                self._end(CallEvent.CANCELLED)
            case events.Failed():
                self._end(CallEvent.FAILED)
            case events.CallEnded():
                self._cause = self._cause or event.cause.value.replace("_", "-")
                self._end(_END_EVENTS[event.cause])
            case events.Reoffered():
                self._reoffered(event)
            case events.DtmfInfo() if self._talk is not None:
                self._talk.key(event.digit, event.duration_ms)
            case _:
                _log.debug("an event of SIP changes nothing", extra={"event": type(event).__name__})

    def _reoffered(self, event: events.Reoffered) -> None:
        if self._local is None:
            return
        origin = self._sip.origin(self._parts.address)
        try:
            with self._parts.sip.commands() as now:
                if event.offer is None:
                    self._sip.answer(sdp.make_offer(self._local, origin), now=now)
                    return
                negotiated = sdp.make_answer(event.offer, self._local, origin)
                self._sip.answer(negotiated.description, now=now)
        except NotAcceptableError as error:
            with self._parts.sip.commands() as now:
                self._sip.reject(488, warning=(error.warning, error.reason), now=now)
            return
        self._renegotiate(negotiated.media)

    def _renegotiated_by_ack(self, answer: sdp.SessionDescription) -> None:
        if self._local is None:
            return
        try:
            ours = sdp.make_offer(self._local, self._sip.origin(self._parts.address))
            self._renegotiate(sdp.accept_answer(ours, answer))
        except RemoteProtocolError:
            _log.warning("the answer to our offer cannot be used, the session stays as it was")

    def _renegotiate(self, media: sdp.NegotiatedMedia) -> None:
        self._receiving = media.receiving
        if self._media is not None:
            self._media.renegotiate(media_settings(media, self._cname), self._parts.clock())

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
        media = self._media
        if media is None or not self._receiving or self._over.done():
            return
        if media.silent_for(self._parts.clock()) > self._parts.media_timeout_s:
            _log.warning("no sound came from the caller for too long")
            self._cause = "media-timeout"
            self._hang_up("media-timeout", event=CallEvent.FAILED)
            self._let_go()

    def worker_event(self, name: str, fields: dict[str, object]) -> None:
        """A worker tells of a turn: numbers and codes, never content."""
        stages = self._parts.metrics.stages
        if name == "turn":
            self._turns += 1
            stages.turn(fields)
            answered_s = self._clock.turn(fields, self._parts.clock())
            stages.spoke(answered_s, None)
            self._trace.turn(fields)
            if answered_s is not None:
                self._trace.heard(None)
            answer_ms = answer_ms_of(fields)
            if answer_ms is not None:
                self._parts.metrics.turn_answered(answer_ms)
        elif name == "barge-in":
            stages.barged_in(fields)
            self._trace.interrupted()
        elif name.endswith("_failed"):
            self._parts.metrics.provider_failed()
        _log.info("a turn of the conversation", extra={"turn_event": name, **plain(fields)})

    def sound_came(self) -> None:
        """A worker speaks."""
        voice_to_voice_s, first_sound_s = self._clock.sound(self._parts.clock())
        if first_sound_s is not None:
            self._trace.heard(first_sound_s)
        self._parts.metrics.stages.spoke(voice_to_voice_s, first_sound_s)

    def sound_ended(self) -> None:
        """What it said is complete, or the caller interrupted it."""
        self._clock.silence()

    @property
    def waits(self) -> bool:
        """Whether no worker has the call that should have one."""
        return self._talk is not None and self._talk.waits and not self.call.is_over

    def moved(self) -> None:
        """Another worker took the call."""
        self._parts.metrics.call_moved()
        _log.info("the call goes on with another worker")

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
