"""A call from the caller's side: dial, take turns with the agent, measure, hang up.

The turns' times come from the line, which notes them as packets are sent and received; this file
decides when a turn begins and when the call ends.
"""

import asyncio
import contextlib
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from callfleet_agent.app.address import outgoing_address
from callfleet_agent.app.errors import AppError
from callfleet_agent.app.media_terms import media_settings
from callfleet_agent.app.phone.hearing import Ear
from callfleet_agent.app.phone.line import Line
from callfleet_agent.app.phone.measure import Segments, TurnTimes
from callfleet_agent.app.phone.recording import Recording
from callfleet_agent.app.phone.report import CallReport, TurnReport
from callfleet_agent.app.phone.transcript import Show, Transcript
from callfleet_agent.app.phone.turns import Turn
from callfleet_agent.app.phone.voice import from_file, speak
from callfleet_agent.audio import Pcm8k
from callfleet_agent.rtp import MediaTick
from callfleet_agent.sip import events, sdp
from callfleet_agent.sip.call import Call as SipCall
from callfleet_agent.sip.settings import AdvertisedAddress, UserAgentSettings
from callfleet_agent.sip.user_agent import UserAgent
from callfleet_agent.transport.rtp_call import RtpCall
from callfleet_agent.transport.rtp_port import PortRange, RtpEndpoint
from callfleet_agent.transport.sip_endpoint import SipEndpoint, SipEndpointSettings
from callfleet_agent.transport.ticker import Ticker

AGENT_QUIET_S: Final = 0.9
POLL_S: Final = 0.02
BYE_LIMIT_S: Final = 4.0
RECOGNISE_LIMIT_S: Final = 30.0
FILLERS: Final = frozenset({"one moment please"})


@dataclass(frozen=True, slots=True)
class Utterance:
    """Something that the agent said: when it began, the onsets of speech in it, its words."""

    began_at: float
    onsets: list[float]
    text: asyncio.Task[str]


@dataclass(frozen=True, slots=True)
class PhoneSettings:
    """How a call is made. Times are seconds."""

    uri: str
    turns: tuple[Turn, ...] = ()
    bind: str | None = None
    port: int = 0
    rtp_first: int = 30000
    rtp_last: int = 34999
    transport: str = "udp"
    via: str | None = None
    from_uri: str | None = None
    codecs: tuple[str, ...] = ("PCMU", "PCMA")
    record: Path | None = None
    recognise: bool = True
    bank_name: str = "Example Bank"
    voice: str = "en-gb"
    words_per_minute: int = 150
    answer_timeout_s: float = 20.0
    turn_timeout_s: float = 25.0
    listen_s: float | None = None
    hang_up: bool = True
    agent_quiet_s: float = AGENT_QUIET_S


class Phone:
    """Makes one call. `show(who, text)` tells a watching person what happens."""

    def __init__(self, settings: PhoneSettings, show: Show = lambda _who, _text: None) -> None:
        self._settings = settings
        self._transcript = Transcript(show)
        self._clock = time.monotonic
        self._rng = random.Random()
        self._report = CallReport()
        self._recording = Recording()
        self._segments = Segments()
        self._onsets: list[float] = []
        self._assigned = 0
        self._utterances: list[Utterance] = []
        self._answered: asyncio.Future[events.Event] = asyncio.get_running_loop().create_future()
        self._ended = asyncio.Event()
        self._call: SipCall | None = None
        self._endpoint: SipEndpoint | None = None
        self._line: Line | None = None
        self._times: list[TurnTimes] = []
        self._ear: Ear | None = None
        self._stop = asyncio.Event()
        self._media_began_at = 0.0
        self._local: sdp.LocalMedia | None = None

    def stop(self) -> None:
        """Ctrl-C: hang up properly."""
        self._stop.set()

    async def run(self) -> CallReport:
        """Make the call.

        Raises:
            AppError: this machine lacks something, or an address cannot be used.
        """
        speech = [await self._speech_of(turn) for turn in self._settings.turns]
        bind = self._settings.bind or outgoing_address()
        async with contextlib.AsyncExitStack() as stack:
            if self._settings.recognise:
                self._ear = await Ear.start(self._settings.bank_name)
                stack.push_async_callback(self._ear.close)
            ticker = Ticker(clock=self._clock)
            ticker.start()
            stack.push_async_callback(ticker.stop)
            ports = PortRange(self._settings.rtp_first, self._settings.rtp_last)
            rtp = await RtpEndpoint.open(bind, ports)
            stack.callback(rtp.close)
            await self._open_sip(stack, bind)
            media = await self._dial(bind, rtp.port)
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

    async def _open_sip(self, stack: contextlib.AsyncExitStack, bind: str) -> None:
        agent = UserAgent(
            UserAgentSettings(
                advertised=AdvertisedAddress(bind, self._settings.port),
                transports=("UDP", "TCP"),
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
                self._target(),
                offer,
                now=now,
                from_uri=self._settings.from_uri or f"sip:caller@{bind}",
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
            return sdp.accept_answer(offer, outcome.answer)
        if isinstance(outcome, events.Failed):
            self._report.outcome = "refused"
            self._report.status, self._report.reason = outcome.status, outcome.reason
            self._report.retry_after_s = outcome.retry_after
        if self._stop.is_set():
            self._report.outcome = "stopped"
        elif self._report.status in {None, 408, 487}:
            self._report.outcome = "not-answered"
        return None

    def _target(self) -> str:
        uri = self._settings.uri
        if not uri.startswith(("sip:", "sips:")):
            uri = f"sip:{uri}"
        if self._settings.transport.lower() == "tcp" and ";transport=" not in uri:
            uri += ";transport=tcp"
        return uri

    def _headers(self) -> tuple[tuple[str, str], ...]:
        via = self._settings.via
        if via is None:
            return ()
        target = via if via.startswith("sip:") else f"sip:{via}"
        return (("Route", f"<{target};lr>"),)

    async def _cancel(self) -> None:
        with self._sip().commands() as now, contextlib.suppress(Exception):
            if self._call is not None:
                self._call.cancel(now=now)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(BYE_LIMIT_S):
                await asyncio.shield(self._answered)

    def _on_event(self, event: events.Event) -> None:
        match event:
            case events.Answered() | events.Failed():
                if not self._answered.done():
                    self._answered.set_result(event)
            case events.CallEnded():
                if not self._report.ended_by:
                    remote = event.cause is events.EndCause.REMOTE
                    self._report.ended_by = "agent" if remote else event.cause.value
                self._ended.set()
            case events.Reoffered():
                self._accept_reoffer(event)
            case events.Ringing():
                self._transcript.said("phone", f"{event.status}")
            case _:
                pass

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
            media_settings(media, "phone"), rng=self._rng, now=began, on_onset=self._on_onset
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
        if (rest := self._segments.flush()) is not None:
            self._heard(rest, self._clock())
        await self._write_down()
        self._report.outcome = self._outcome(finished)

    def _outcome(self, finished: bool) -> str:
        if self._stop.is_set():
            return "stopped"
        if self._report.ended_by not in {"agent", "local"}:
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
                lambda: self._spoke_since(since) is not None, self._settings.turn_timeout_s
            )
            began = self._spoke_since(since) or self._clock()
            await self._while_calling(lambda: False, began + turn.barge_in_s - self._clock())
        return not self._ended.is_set() and not self._stop.is_set()

    def _last_end(self) -> float:
        """When our last turn ended, or the call began."""
        if self._times and self._times[-1].speech_ended_at is not None:
            return self._times[-1].speech_ended_at
        return self._media_began_at

    def _spoke_since(self, since: float) -> float | None:
        """When the agent first began to speak after `since`."""
        return next((onset for onset in self._onsets if onset > since), None)

    async def _agent_finished(self, line: Line) -> None:
        """Wait until the agent spoke after our last turn, and is quiet again."""
        since = self._last_end()

        def quiet() -> bool:
            spoke = self._spoke_since(since) is not None
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
        self._report.ended_by = "local"
        with self._sip().commands() as now:
            self._call.hang_up(now=now)
        try:
            async with asyncio.timeout(BYE_LIMIT_S):
                await self._ended.wait()
        except TimeoutError:
            self._report.ended_by = "nobody-answered-bye"

    # what is heard

    def _on_onset(self, at: float) -> None:
        self._onsets.append(at)

    def _on_tick(self, tick: MediaTick) -> None:
        line = self._line
        if line is None:
            return
        self._recording.add(tick.reference, tick.inbound)
        line.after_tick(tick, self._clock())
        utterance = self._segments.add(tick.inbound)
        if utterance is not None:
            # Packets arrive before their sound leaves the jitter buffer: what began in the quiet
            # that ended this utterance belongs to the next one.
            self._heard(utterance, self._clock() - self._segments.quiet_s)

    def _heard(self, utterance: Pcm8k, ended_at: float) -> None:
        later = self._onsets[self._assigned :]
        onsets = [onset for onset in later if onset <= ended_at]
        self._assigned += len(onsets)
        began_at = onsets[0] if onsets else ended_at - utterance.seconds
        heard = asyncio.ensure_future(self._recognise(utterance))
        self._utterances.append(Utterance(began_at, onsets, heard))
        if self._ear is not None:
            self._transcript.heard("agent", heard)

    async def _recognise(self, utterance: Pcm8k) -> str:
        if self._ear is None:
            return ""
        try:
            return await self._ear.recognise(utterance)
        except AppError:
            return ""

    async def _write_down(self) -> None:
        """Wait for the recogniser and give every turn its answer."""
        for utterance in self._utterances:
            try:
                async with asyncio.timeout(RECOGNISE_LIMIT_S):
                    text = await utterance.text
            except TimeoutError:
                text = ""
            if text not in FILLERS:
                for onset in utterance.onsets:
                    for times in self._times:
                        times.heard(onset)
            self._place(utterance.began_at, text)
        runs = [] if self._line is None else self._line.arrivals.runs
        for report, times in zip(self._report.turns, self._times, strict=True):
            report.answer_ms = _rounded(times.answer_ms)
            report.interrupted_ms = _rounded(times.interrupted_ms(runs))

    def _place(self, began_at: float, text: str) -> None:
        """Put an utterance's text under the turn that it follows."""
        if not text:
            return
        turn = sum(began_at > times.began_at for times in self._times) - 1
        lines = self._report.turns[turn].heard if turn >= 0 else self._report.greeting
        lines.append(text)

    def _sip(self) -> SipEndpoint:
        if self._endpoint is None:
            raise AppError("the phone is not open")
        return self._endpoint


def _rounded(milliseconds: float | None) -> float | None:
    return None if milliseconds is None else round(milliseconds, 1)
