"""One conversation over a stream: the pipeline's link, with a clock of its own and no phone.

Every 20 ms a tick goes in with 20 ms of the caller's sound (or a noise floor, when the client is
late), and 20 ms of the agent's sound goes out. What waits is bounded both ways.
"""

import asyncio
import random
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Final
from uuid import UUID

from callfleet_agent.audio import FRAME_SAMPLES, FrameKind, Pcm8k
from callfleet_agent.audio.noise import NoiseFloor
from callfleet_agent.link import (
    CREDIT_SAMPLES,
    Hangup,
    Hello,
    Interrupted,
    LinkLost,
    Message,
    Tick,
)
from callfleet_agent.link.messages import EventValue

TICK_S: Final = 0.02
MOST_INBOUND: Final = 8000 * 2  # samples that may wait: 2 s, then the client is not read
MOST_OUTBOUND: Final = 100  # frames that may wait for a client that does not read: 2 s
MOST_TICKS: Final = 50


class StreamLink:
    """The pipeline's CallLink on one stream."""

    def __init__(self, call: UUID, hello: Hello, context: bytes | None) -> None:
        self.call = call
        self.hello = hello
        self.context = context
        self.played_epoch = self.epoch = hello.epoch
        self.played_position = 0
        self.sent_position = 0
        self.turns = 0
        self.on_event: Callable[[str, Mapping[str, object]], None] = lambda _name, _fields: None
        self.lost_frames = 0
        self.reason: str | None = None
        self._position = hello.position
        self._good_bye: tuple[int, int] | None = None
        self._noise = NoiseFloor(random.Random(call.int))
        self._inbound = bytearray()
        self._room = asyncio.Event()
        self._playing: deque[Pcm8k] = deque()
        self._marks: deque[int] = deque()
        self._last = Pcm8k.silence(FRAME_SAMPLES)
        self._inbox: deque[Message] = deque()
        self._ticks = 0
        self._arrived = asyncio.Event()
        self._credit = asyncio.Event()
        self._outbox: deque[tuple[Pcm8k, bool]] = deque()
        self._outgoing = asyncio.Event()
        self._closed = False

    # what the pipeline uses

    def accept(self) -> None:
        """The pipeline runs."""

    def refuse(self, reason: str) -> None:
        """The pipeline does not want the call."""
        self._end(reason)

    async def speak(self, sound: Pcm8k) -> bool:
        """Play, 200 ms ahead at most; False when it was interrupted or the call ended."""
        epoch, done = self.epoch, 0
        while done < len(sound):
            if self._closed or self.epoch != epoch:
                return False
            room = self.played_position + CREDIT_SAMPLES - self.sent_position
            if self.played_epoch != epoch or room <= 0:
                self._credit.clear()
                await self._credit.wait()
                continue
            piece = sound.slice(done, done + min(room, FRAME_SAMPLES))
            self._playing.append(piece)
            self.sent_position += len(piece)
            done += len(piece)
        return True

    def end_of_speech(self) -> tuple[int, int]:
        """Mark the end of an utterance."""
        self._marks.append(self.sent_position)
        return self.epoch, self.sent_position

    def interrupt(self) -> int:
        """Stop what is being said."""
        ended = Interrupted(epoch=self.epoch, position=self.played_position)
        self.epoch += 1
        self.played_epoch, self.played_position, self.sent_position = self.epoch, 0, 0
        self._playing.clear()
        self._marks.clear()
        self._outbox.clear()
        self._put(ended)
        self._credit.set()
        return self.epoch

    def hangup(self, reason: str) -> None:
        """End the call once all that was sent has been heard."""
        self._good_bye = (self.epoch, self.sent_position)
        self.reason = reason

    def hand_over(self, context: bytes) -> None:
        """The conversation as another pipeline could go on with it."""
        self.context = context

    def event(self, name: str, **fields: EventValue) -> None:
        """Something happened."""
        self.turns += name == "turn"
        self.on_event(name, fields)

    async def __aiter__(self) -> AsyncIterator[Message]:
        while True:
            while self._inbox:
                message = self._inbox.popleft()
                self._ticks -= isinstance(message, Tick)
                yield message
                if isinstance(message, Hangup):
                    return
            if self._closed:
                raise LinkLost("the stream is gone")
            self._arrived.clear()
            await self._arrived.wait()

    # what the stream uses

    @property
    def speaking(self) -> bool:
        """Whether the agent is heard at this moment."""
        return bool(self._playing)

    async def hear(self, sound: AsyncIterator[Pcm8k]) -> None:
        """Take the client's sound; it is not read further while two seconds wait."""
        async for piece in sound:
            while len(self._inbound) // 2 > MOST_INBOUND and not self._closed:
                self._room.clear()
                await self._room.wait()
            self._inbound += piece.data
        while len(self._inbound) // 2 >= FRAME_SAMPLES and not self._closed:
            self._room.clear()
            await self._room.wait()

    async def tick(self) -> None:
        """The call's clock, until it is over."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        while not self._closed:
            due = max(due + TICK_S, loop.time() - 0.2)  # what is late by more is left out
            await asyncio.sleep(due - loop.time())
            self._tick()

    def _tick(self) -> None:
        inbound, kind = self._next_inbound()
        reference, mark = self._next_outbound()
        tick = Tick(
            epoch=self.epoch,
            position=self._position,
            kind=kind,
            played_epoch=self.played_epoch,
            played_position=self.played_position,
            credit_position=self.played_position + CREDIT_SAMPLES,
            inbound=inbound,
            reference=self._last,
        )
        self._last = reference
        self._position += FRAME_SAMPLES
        self._put_tick(tick)
        self._credit.set()
        bye = self._good_bye
        if bye and (self.played_epoch, self.played_position) >= bye and not mark:
            self._end(self.reason or "finished")

    def _next_inbound(self) -> tuple[Pcm8k, FrameKind]:
        size = 2 * FRAME_SAMPLES
        if len(self._inbound) < size:
            return self._noise.frame(FRAME_SAMPLES), FrameKind.NOISE
        data = bytes(self._inbound[:size])
        del self._inbound[:size]
        self._room.set()
        return Pcm8k(data), FrameKind.REAL

    def _next_outbound(self) -> tuple[Pcm8k, bool]:
        """20 ms of what is playing go out; nothing goes out while nothing is said."""
        taken, wanted = [], FRAME_SAMPLES
        while self._playing and wanted:
            piece = self._playing.popleft()
            taken.append(piece.slice(0, wanted))
            if len(piece) > wanted:
                self._playing.appendleft(piece.slice(wanted))
            wanted -= len(taken[-1])
        sound = sum(taken, Pcm8k(b""))
        if not len(sound):
            return Pcm8k.silence(FRAME_SAMPLES), False
        self.played_position += len(sound)
        ended = bool(self._marks) and self.played_position >= self._marks[0]
        if ended:
            self._marks.popleft()
        self._outbox.append((sound, ended))
        if len(self._outbox) > MOST_OUTBOUND:
            self._outbox.popleft()
            self.lost_frames += 1
        self._outgoing.set()
        return sound + Pcm8k.silence(FRAME_SAMPLES - len(sound)), ended

    async def sound(self) -> AsyncIterator[tuple[Pcm8k, bool]]:
        """What goes out, until the call is over."""
        while True:
            while self._outbox:
                yield self._outbox.popleft()
            if self._closed:
                return
            self._outgoing.clear()
            await self._outgoing.wait()

    def over(self, reason: str) -> None:
        """The caller is gone, or the session was ended: the pipeline is told, and ends."""
        self._end(reason)

    def close(self) -> None:
        """Nothing waits any more."""
        self._closed = True
        for event in (self._room, self._arrived, self._credit, self._outgoing):
            event.set()

    def _end(self, reason: str) -> None:
        if not self._closed:
            self._put(Hangup(reason=reason))
            self.close()

    def _put_tick(self, tick: Tick) -> None:
        self._ticks += 1
        if self._ticks > MOST_TICKS:
            self._inbox.remove(next(each for each in self._inbox if isinstance(each, Tick)))
            self._ticks -= 1
        self._put(tick)

    def _put(self, message: Message) -> None:
        self._inbox.append(message)
        self._arrived.set()
