"""A call from the caller's side: dial, take turns with the agent, measure, hang up.

The turns' times come from the line, which notes them as packets are sent and received; what is
heard is collected by `Listening`. This file decides when a turn begins and when the call ends.
"""

import asyncio
import contextlib
import random
import time
from collections.abc import Callable
from typing import Any, Final

from callfleet_agent.app.address import address_toward
from callfleet_agent.app.errors import AppError
from callfleet_agent.app.media_terms import media_settings
from callfleet_agent.app.phone.ending import UNANSWERED, Ending, ending_of, missed_audio
from callfleet_agent.app.phone.hearing import Ear
from callfleet_agent.app.phone.line import Line
from callfleet_agent.app.phone.listening import Listening
from callfleet_agent.app.phone.measure import TurnTimes
from callfleet_agent.app.phone.reach import nobody_listens
from callfleet_agent.app.phone.recording import Recording
from callfleet_agent.app.phone.report import CallReport, TurnReport
from callfleet_agent.app.phone.settings import TRANSPORTS, PhoneSettings, place_of
from callfleet_agent.app.phone.transcript import Show, Transcript
from callfleet_agent.app.phone.turns import Turn
from callfleet_agent.app.phone.voice import from_file, speak
from callfleet_agent.audio import Pcm8k
from callfleet_agent.rtp import MediaTick
from callfleet_agent.sip import events, sdp
from callfleet_agent.sip.call import Call as SipCall
from callfleet_agent.sip.settings import AdvertisedAddress, Peer, UserAgentSettings, bracketed
from callfleet_agent.sip.user_agent import UserAgent
from callfleet_agent.time_limit import at_most
from callfleet_agent.transport.rtp_call import RtpCall
from callfleet_agent.transport.rtp_port import NoPortsFree, PortRange, RtpEndpoint
from callfleet_agent.transport.sip_endpoint import SipEndpoint, SipEndpointSettings
from callfleet_agent.transport.ticker import Ticker

POLL_S: Final = 0.02
BYE_LIMIT_S: Final = 4.0

__all__ = ["Phone", "PhoneSettings"]


class Phone:
    """Makes one call. `show(who, text)` tells a watching person what happens."""

    def __init__(
        self,
        settings: PhoneSettings,
        show: Show = lambda _who, _text: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._transcript = Transcript(show)
        self._clock = clock
        self._rng = random.Random()
        self._report = CallReport()
        self._recording = Recording()
        self._listening = Listening(self._transcript)
        self._answered: asyncio.Future[events.Event] = asyncio.get_running_loop().create_future()
        self._ended = asyncio.Event()
        self._call: SipCall | None = None
        self._endpoint: SipEndpoint | None = None
        self._line: Line | None = None
        self._times: list[TurnTimes] = []
        self._stop = asyncio.Event()
        self._media_began_at = 0.0
        self._local: sdp.LocalMedia | None = None
        self._refused = False
        self._unreachable = False

    def stop(self) -> None:
        """Ctrl-C: hang up properly."""
        self._stop.set()

    async def run(self) -> CallReport:
        """Make the call.

        Raises:
            AppError: this machine lacks something, or an option or address cannot be used.
        """
        first_hop = self._settings.checked()
        speech = [await self._speech_of(turn) for turn in self._settings.turns]
        bind = self._settings.bind or address_toward(first_hop.host)
        async with contextlib.AsyncExitStack() as stack:
            if self._settings.recognise:
                self._listening.ear = await Ear.start(self._settings.bank_name)
                stack.push_async_callback(self._listening.ear.close)
            ticker = Ticker(clock=self._clock)
            ticker.start()
            stack.push_async_callback(ticker.stop)
            rtp = await self._open_rtp(bind)
            stack.callback(rtp.close)
            await self._open_sip(stack, bind)
            warning = asyncio.create_task(self._warn_if_refused(first_hop))
            stack.push_async_callback(_ended, warning)
            media = await self._dial(bind, rtp.port)
            self._explain(first_hop)
            if media is not None:
                await self._talk(media, rtp, ticker, speech)
        if self._settings.record is not None and self._recording.seconds:
            self._recording.write(self._settings.record)
            self._report.recording = str(self._settings.record)
        return self._report

    async def _speech_of(self, turn: Turn) -> Pcm8k | None:
        if turn.say is not None:
            return await speak(turn.say, self._settings.voice, self._settings.words_per_minute)
        return from_file(turn.play) if turn.play is not None else None

    async def _open_rtp(self, bind: str) -> RtpEndpoint:
        ports = PortRange(self._settings.rtp_first, self._settings.rtp_last)
        try:
            return await RtpEndpoint.open(bind, ports)
        except NoPortsFree as error:
            cause = error.__cause__
            why = f": {cause.strerror}" if isinstance(cause, OSError) else ", every port is taken"
            raise AppError(f"--bind: cannot use {bind}{why}") from error

    async def _open_sip(self, stack: contextlib.AsyncExitStack, bind: str) -> None:
        agent = UserAgent(
            UserAgentSettings(
                advertised=AdvertisedAddress(bind, self._settings.port),
                transports=TRANSPORTS,
                user="caller",
                user_agent="callfleet-phone/0.1",
            ),
            random=self._rng,
        )
        try:
            self._endpoint = await stack.enter_async_context(
                SipEndpoint.open(
                    agent,
                    self._on_event,
                    SipEndpointSettings(host=bind, port=self._settings.port),
                )
            )
        except OSError as error:
            raise AppError(
                f"cannot listen for SIP on {bind}:{self._settings.port}: {error.strerror}"
            ) from error

    # signalling

    async def _dial(self, bind: str, rtp_port: int) -> sdp.NegotiatedMedia | None:
        local = sdp.LocalMedia(bind, rtp_port, codecs=self._settings.codecs)
        offer = sdp.make_offer(local, sdp.Origin(bind, self._rng.getrandbits(31), 1))
        began = self._clock()
        endpoint = self._sip()
        with endpoint.commands() as now:
            self._call = endpoint.user_agent.invite(
                self._settings.target,
                offer,
                now=now,
                from_uri=self._settings.from_uri or f"sip:caller@{bracketed(bind)}",
                headers=self._headers(),
            )
        stopped = asyncio.ensure_future(self._stop.wait())
        waits: set[asyncio.Future[Any]] = {self._answered, stopped}
        await asyncio.wait(
            waits,
            timeout=self._settings.answer_timeout_s,
            return_when=asyncio.FIRST_COMPLETED,
        )
        stopped.cancel()
        if not self._answered.done():
            await self._cancel()
        outcome = self._answered.result() if self._answered.done() else None
        if isinstance(outcome, events.Answered) and outcome.answer is not None:
            self._report.setup_ms = round((self._clock() - began) * 1000, 1)
            place = place_of(outcome.call.known_dialog.remote_target)
            self._report.answered_by = place
            self._transcript.said("phone", f"answered by {place or 'an agent without an address'}")
            return sdp.accept_answer(offer, outcome.answer)
        self._report.outcome = "not-answered"
        if isinstance(outcome, events.Failed) and outcome.answered:
            if outcome.status not in {408, 487}:
                self._report.outcome = "refused"
            self._report.status, self._report.reason = outcome.status, outcome.reason
            self._report.retry_after_s = outcome.retry_after
        elif isinstance(outcome, events.Failed) and outcome.status == 503:
            self._unreachable = True
        if self._stop.is_set():
            self._report.outcome = "stopped"
        return None

    def _headers(self) -> tuple[tuple[str, str], ...]:
        proxy = self._settings.proxy
        return () if proxy is None else (("Route", f"<{proxy};lr>"),)

    async def _warn_if_refused(self, first_hop: Peer) -> None:
        """A person who watches need not wait to learn of a wrong port; who starts late is heard."""
        if await nobody_listens(first_hop) and not self._answered.done():
            self._refused = True
            self._transcript.said("phone", f"nobody listens at {_shown(first_hop)} yet")

    def _explain(self, first_hop: Peer) -> None:
        """Words for a call that nobody answered."""
        if self._report.outcome != "not-answered" or self._report.reason:
            return
        place = _shown(first_hop)
        if self._unreachable:
            self._report.reason = f"{place} cannot be reached"
        elif self._refused:
            self._report.reason = f"nobody listens at {place}; is the agent running?"
        else:
            self._report.reason = f"no answer in {self._settings.answer_timeout_s:g} s from {place}"

    async def _cancel(self) -> None:
        with self._sip().commands() as now, contextlib.suppress(Exception):
            if self._call is not None:
                self._call.cancel(now=now)
        with contextlib.suppress(TimeoutError):
            async with at_most(BYE_LIMIT_S):
                await asyncio.shield(self._answered)

    def _on_event(self, event: events.Event) -> None:
        match event:
            case events.Answered() | events.Failed():
                if not self._answered.done():
                    self._answered.set_result(event)
            case events.CallEnded():
                self._end(ending_of(event))
            case events.Reoffered():
                self._accept_reoffer(event)
            case events.Ringing():
                self._transcript.said("phone", f"{event.status}")
            case _:
                pass

    def _end(self, ending: Ending) -> None:
        """The call is over; what is told first counts."""
        if not self._report.ended_by:
            self._report.ended_by, self._report.bye_status = ending.by, ending.bye_status
        self._ended.set()

    def _accept_reoffer(self, event: events.Reoffered) -> None:
        """A new offer of the agent (it moved, say): accept it on the same port."""
        line, offer = self._line, event.offer
        with self._sip().commands() as now:
            if line is None or offer is None or self._local is None:
                event.call.reject(488, now=now)
                return
            answer = sdp.make_answer(offer, self._local, event.call.origin(self._local.address))
            event.call.answer(answer.description, now=now)
        line.renegotiate(media_settings(answer.media, "phone"), self._clock())

    # the conversation

    async def _talk(
        self,
        media: sdp.NegotiatedMedia,
        endpoint: RtpEndpoint,
        ticker: Ticker,
        speech: list[Pcm8k | None],
    ) -> None:
        self._media_began_at = began = self._clock()
        self._report.codec = media.codec
        self._local = sdp.LocalMedia(endpoint.host, endpoint.port, codecs=(media.codec,))
        line = self._line = Line(
            media_settings(media, "phone"),
            rng=self._rng,
            now=began,
            on_onset=self._listening.onset,
        )
        rtp = RtpCall(endpoint, line, ticker, on_tick=self._on_tick, clock=self._clock)
        rtp.start()
        try:
            finished = await self._take_turns(line, speech)
            await self._hang_up()
        finally:
            self._report.of_media(line.stats(self._clock()))
            self._report.duration_s = round(self._clock() - began, 3)
            rtp.stop()
        self._listening.finish(self._clock())
        await self._listening.write_down(self._report, self._times, line.arrivals.runs)
        self._report.outcome = self._outcome(finished, media)

    def _outcome(self, finished: bool, media: sdp.NegotiatedMedia) -> str:
        report = self._report
        if self._stop.is_set():
            return "stopped"
        if not report.ending.proper:
            return "broken"
        if missed_audio(
            expected=media.receiving, packets=report.packets_received, seconds=report.duration_s
        ):
            report.reason = "no audio of the agent arrived"
            return "broken"
        return "ok" if finished else "cut-off"

    async def _take_turns(self, line: Line, speech: list[Pcm8k | None]) -> bool:
        """Take every turn; False if the call ended before the last one."""
        for number, turn in enumerate(self._settings.turns):
            if not await self._my_turn(line, turn):
                return self._stop.is_set()
            self._transcript.said("caller", turn.shown)
            times = TurnTimes(self._clock())
            self._times.append(times)
            self._report.turns.append(TurnReport(turn.kind, turn.shown))
            line.turn = times
            sound = speech[number]
            if sound is not None:
                line.say(sound)
            else:
                line.send_digits(turn.keys or "")
            await self._while_calling(lambda: not line.busy, self._settings.turn_timeout_s + 60)
        if not self._settings.turns and self._settings.listen_s is None:
            await self._while_calling(lambda: False, None)
            return True
        if self._settings.listen_s is not None:
            await self._while_calling(lambda: False, self._settings.listen_s)
        else:
            await self._agent_finished(line)
        return True

    async def _my_turn(self, line: Line, turn: Turn) -> bool:
        """Wait until the turn may begin; False when the call is over."""
        if turn.barge_in_s is None:
            await self._agent_finished(line)
        else:
            since = self._last_end()
            await self._while_calling(
                lambda: self._listening.spoke_since(since) is not None,
                self._settings.turn_timeout_s,
            )
            began = self._listening.spoke_since(since) or self._clock()
            await self._while_calling(lambda: False, began + turn.barge_in_s - self._clock())
        return not self._ended.is_set() and not self._stop.is_set()

    def _last_end(self) -> float:
        """When our last turn ended, or the call began."""
        if self._times and self._times[-1].speech_ended_at is not None:
            return self._times[-1].speech_ended_at
        return self._media_began_at

    async def _agent_finished(self, line: Line) -> None:
        """Wait until the agent spoke after our last turn, and is quiet again."""
        since = self._last_end()

        def quiet() -> bool:
            spoke = self._listening.spoke_since(since) is not None
            return (
                spoke
                and line.arrivals.silent_for(self._clock(), since) >= self._settings.agent_quiet_s
            )

        await self._while_calling(quiet, self._settings.turn_timeout_s)

    async def _while_calling(self, done: Callable[[], bool], limit_s: float | None) -> None:
        """Wait for `done`, for the limit, or for the end of the call."""
        until = None if limit_s is None else self._clock() + limit_s
        while not (self._ended.is_set() or self._stop.is_set() or done()):
            if until is not None and self._clock() >= until:
                return
            await asyncio.sleep(POLL_S)

    async def _hang_up(self) -> None:
        if self._ended.is_set() or self._call is None:
            return
        if not self._settings.hang_up and not self._stop.is_set():
            await self._while_calling(lambda: False, self._settings.turn_timeout_s)
        if self._ended.is_set():
            return
        with self._sip().commands() as now:
            self._call.hang_up(now=now)
        try:
            async with at_most(BYE_LIMIT_S):
                await self._ended.wait()
        except TimeoutError:
            self._end(Ending(UNANSWERED))

    # what is heard

    def _on_tick(self, tick: MediaTick) -> None:
        line = self._line
        if line is None:
            return
        self._recording.add(tick.reference, tick.inbound)
        line.after_tick(tick, self._clock())
        self._listening.hear(tick.inbound, self._clock())

    def _sip(self) -> SipEndpoint:
        if self._endpoint is None:
            raise AppError("the phone is not open")
        return self._endpoint


async def _ended(task: "asyncio.Task[None]") -> None:
    task.cancel()
    await asyncio.wait([task])


def _shown(peer: Peer) -> str:
    return f"{peer.transport} {bracketed(peer.host)}:{peer.port}"
