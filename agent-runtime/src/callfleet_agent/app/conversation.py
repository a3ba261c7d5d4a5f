"""The conversation of one call with workers, one after another if they die.

It owns the link to the worker that holds the call, and carries between that link and the call's
media: ticks and keys inward, speech outward. When a worker is lost the media plays comfort noise by
itself, and the call is offered, with the last context, to the next worker.
"""

import asyncio
import logging
from dataclasses import dataclass, replace
from typing import Any, Final, Protocol

from callfleet_agent.app.supervisor import Supervisor, Worker
from callfleet_agent.audio import Pcm8k
from callfleet_agent.link import (
    Audio,
    Caller,
    Context,
    Dtmf,
    Earlier,
    EndOfSpeech,
    Event,
    Hangup,
    Hello,
    Interrupt,
    Interrupted,
    LinkError,
    Message,
    Ready,
)
from callfleet_agent.rtp import MediaTick
from callfleet_agent.session import Call, Search, VoiceEvent, VoiceState
from callfleet_agent.sip.dialog import Dialog
from callfleet_agent.time_limit import at_most
from callfleet_agent.transport.link_client import MAX_UNANSWERED_PINGS, LinkClient, tick_message

READY_WAIT_S: Final = 5.0
MOST_UNHEARD: Final = 32
_log = logging.getLogger(__name__)


class NobodyTalksError(Exception):
    """No worker took the call in time, or too many died under it: the call is ended."""


@dataclass(frozen=True, slots=True)
class Introduction:
    """What a worker is told of a call."""

    call_number: int
    dialed: str
    caller: Caller
    correlation_id: str
    traceparent: str = ""
    earlier: Earlier | None = None


class Media(Protocol):
    """Where the agent's speech is played, as MediaSession has it."""

    @property
    def epoch(self) -> int:
        """The current epoch."""

    def push(self, epoch: int, position: int, sound: Pcm8k) -> bool:
        """Queue sound; False when its epoch has ended."""

    def end_of_speech(self, epoch: int, position: int) -> None:
        """An utterance is complete."""

    def interrupt(self, epoch: int) -> tuple[int, int]:
        """Begin `epoch`; the epoch that ended and how much of it was played."""

    def has_played(self, epoch: int, position: int) -> bool:
        """Whether all up to this point was played, or never will be."""


class Observer(Protocol):
    """Who wants to know of turns and moves."""

    def worker_event(self, name: str, fields: dict[str, object]) -> None:
        """A worker told a turn's timings or counters."""

    def context_came(self, data: bytes) -> None:
        """A worker handed over its context after a turn."""

    def sound_came(self) -> None:
        """A worker sent sound."""

    def sound_ended(self) -> None:
        """What it said is complete, or was interrupted."""

    def moved(self) -> None:
        """The call was given to another worker."""


class Conversation:
    """Carries one call's conversation until it is over."""

    def __init__(
        self,
        call: Call[Dialog],
        introduction: Introduction,
        media: Media,
        supervisor: Supervisor,
        observer: Observer,
    ) -> None:
        self.call = call
        self._introduction = introduction
        self._media = media
        self._supervisor = supervisor
        self._observer = observer
        self._link: LinkClient | None = None
        self._taken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._lost: asyncio.Future[LinkError] = asyncio.get_running_loop().create_future()
        self._good_bye: Hangup | None = None
        self._said: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._position = 0
        self._epoch = media.epoch
        self._search = Search(since=self._now())
        self._unheard: list[Dtmf] = []  # keys pressed while no worker has the call

    async def run(self) -> str:
        """Hold the conversation; the worker's reason when it wants the call to end.

        Raises:
            NobodyTalksError: no worker could be had, or the call killed one after another.
        """
        while not self._said.done():
            left_s = self._search.left_s(now=self._now())
            worker = await self._supervisor.taken(left_s, self._search.avoid)
            if worker is None:
                raise NobodyTalksError("no worker takes the call")
            try:
                await self._with(worker)
            finally:
                self._supervisor.give_back(worker)
            if not self._said.done():
                await asyncio.sleep(self._search.pause_s)
        return self._said.result()

    async def _with(self, worker: Worker) -> None:
        """Let one worker have the call until it is over, or the worker is lost."""
        loop = asyncio.get_running_loop()
        self._good_bye, self._taken, self._lost = None, loop.create_future(), loop.create_future()
        resumed = self.call.owner_epoch > 0
        if resumed:
            self._epoch += 1
            self._media.interrupt(self._epoch)
        try:
            await self._offer(worker, resumed=resumed)
        except (LinkError, TimeoutError) as error:
            self._drop_link()
            self._voice_lost(worker, error)
            return
        if resumed:
            self._observer.moved()
        await _first(self._lost, self._said)
        if not self._said.done():
            if self._is_silent():
                self._supervisor.condemn(worker)
            self._link = None
            self._voice_lost(worker, self._lost.result())

    async def _offer(self, worker: Worker, *, resumed: bool) -> None:
        """Raises LinkError or TimeoutError when the worker does not take the call."""
        self._link = await LinkClient.open(
            str(worker.process.socket),
            call=self.call.uuid,
            hello=self._hello(resumed=resumed),
            context=self.call.context if resumed else None,
            on_message=self._on_message,
            on_lost=self._on_lost,
        )
        async with at_most(READY_WAIT_S):
            await _first(self._taken, self._lost)
        if self._lost.done():
            raise self._lost.result()

    def _now(self) -> float:
        return asyncio.get_running_loop().time()

    def _is_silent(self) -> bool:
        link = self._link
        return link is not None and link.connection.unanswered_pings >= MAX_UNANSWERED_PINGS

    @property
    def waits(self) -> bool:
        """Whether no worker has the call."""
        return not self._is_held and not self._said.done()

    @property
    def _is_held(self) -> bool:
        return self._link is not None and self._taken.done()

    def _voice_lost(self, worker: Worker, error: Exception) -> None:
        self.call = self.call.on_voice(VoiceEvent.WORKER_LOST)
        about = {"worker": worker.number, "reason": type(error).__name__}
        if self._taken.done():
            self._search = self._search.on_death(worker.number, at=self._now())
            _log.warning("a call lost its worker and is given to another", extra=about)
        else:
            self._search = self._search.on_refused(worker.number)
            _log.warning("a worker did not take a call, and another is asked", extra=about)

    def _hello(self, *, resumed: bool) -> Hello:
        about = self._introduction
        return Hello(
            epoch=self._epoch,
            position=self._position,
            call_number=about.call_number,
            dialed=about.dialed,
            caller=about.caller,
            resumed=resumed,
            correlation_id=about.correlation_id,
            traceparent=about.traceparent,
            earlier=None if resumed else about.earlier,
        )

    def tick(self, tick: MediaTick) -> None:
        """20 ms of the call's media went by."""
        self._position = tick.inbound_position + len(tick.inbound)
        for digit in tick.digits:
            self.key(digit.digit, digit.duration_ms, tick.inbound_position)
        if self._link is not None and self._is_held:
            self._link.send(tick_message(tick))
        bye, said = self._good_bye, self._said
        if bye and not said.done() and self._media.has_played(bye.epoch, bye.position):
            said.set_result(bye.reason)

    def key(self, digit: str, duration_ms: int, position: int | None = None) -> None:
        """The caller pressed a key; while no worker has the call it waits for the next one."""
        at = self._position if position is None else position
        pressed = Dtmf(position=at, digit=digit, duration_ms=duration_ms)
        link = self._link
        if link is not None and link.is_open and self._is_held:
            link.send(pressed)
        elif len(self._unheard) < MOST_UNHEARD:
            self._unheard.append(pressed)

    def _tell_unheard(self, link: LinkClient) -> None:
        for pressed in self._unheard:
            link.send(replace(pressed, position=self._position))
        self._unheard.clear()

    async def end(self, reason: str) -> None:
        """Tell the worker that the call is over, and take its last context and events."""
        link, self._link = self._link, None
        if link is None:
            return
        if self.call.voice is not VoiceState.OVER:
            self.call = self.call.on_voice(VoiceEvent.FINISHED)
        try:
            link.hangup(reason)
        except LinkError:
            link.abort()
        await link.closed()

    def _drop_link(self) -> None:
        if self._link is not None:
            self._link.abort()
            self._link = None

    def _on_lost(self, error: LinkError) -> None:
        if not self._lost.done():
            self._lost.set_result(error)

    def _on_message(self, message: Message) -> None:
        match message:
            case Audio():
                self._media.push(message.epoch, message.position, message.samples)
                self._observer.sound_came()
            case EndOfSpeech():
                self._observer.sound_ended()
                self._media.end_of_speech(message.epoch, message.position)
            case Interrupt():
                self._interrupted(message.epoch)
            case Context():
                self.call = self.call.with_context(message.data)
                self._search = self._search.on_turn()
                self._observer.context_came(message.data)
            case Event():
                self._observer.worker_event(message.name, dict(message.fields))
            case Ready():
                self.call = self.call.on_voice(VoiceEvent.TAKEN)
                self._taken.set_result(None)
                if self._link is not None:
                    self._tell_unheard(self._link)
            case Hangup() if self._is_held:
                self._good_bye = message
            case Hangup():
                self._on_lost(LinkError("the worker refused the call"))
                self._drop_link()

    def _interrupted(self, epoch: int) -> None:
        self._observer.sound_ended()
        ended, played = self._media.interrupt(epoch)
        self._epoch = epoch
        if self._link is not None:
            self._link.send(Interrupted(epoch=ended, position=played))


async def _first(*futures: "asyncio.Future[Any]") -> None:
    """Return when one of the futures is done; none is cancelled."""
    await asyncio.wait(futures, return_when=asyncio.FIRST_COMPLETED)
