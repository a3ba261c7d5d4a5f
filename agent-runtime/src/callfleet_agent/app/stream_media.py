"""The media of one stream: what a phone call has from RTP, with a clock of its own and no packets.

Every 20 ms a tick takes 20 ms of the client's sound (or a noise floor, when the client is late) and
20 ms of the agent's. What waits is bounded both ways.
"""

import asyncio
import random
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Final

from callfleet_agent.audio import FRAME_SAMPLES, FrameKind, Pcm8k
from callfleet_agent.audio.noise import NoiseFloor
from callfleet_agent.rtp import MediaTick
from callfleet_agent.rtp.playout import PlayoutQueue

TICK_S: Final = 0.02
MOST_INBOUND: Final = 8000 * 2  # samples that may wait: 2 s, then the client is not read
MOST_OUTBOUND: Final = 100  # frames that may wait for a client that does not read: 2 s
_FRAME_BYTES: Final = 2 * FRAME_SAMPLES


class StreamMedia:
    """A conversation's media on one stream. `epoch`: the one that the conversation has reached."""

    def __init__(self, seed: int, epoch: int = 0) -> None:
        self.closed = asyncio.Event()
        self.lost_frames = 0
        self._queue = PlayoutQueue(epoch=epoch)
        self._noise = NoiseFloor(random.Random(seed))
        self._position = 0
        self._inbound = bytearray()
        self._room = asyncio.Event()
        self._outbox: deque[tuple[Pcm8k, bool]] = deque()
        self._outgoing = asyncio.Event()
        self._speaking = False

    # what the conversation uses

    @property
    def epoch(self) -> int:
        """The current one."""
        return self._queue.epoch

    def push(self, epoch: int, position: int, sound: Pcm8k) -> bool:
        """See MediaSession."""
        return self._queue.push(epoch, position, sound)

    def end_of_speech(self, epoch: int, position: int) -> None:
        """See MediaSession."""
        self._queue.end_of_speech(epoch, position)

    def interrupt(self, epoch: int) -> tuple[int, int]:
        """See MediaSession; what waits for the client is not sent either."""
        self._outbox.clear()
        return self._queue.interrupt(epoch)

    def has_played(self, epoch: int, position: int) -> bool:
        """See MediaSession."""
        return self._queue.has_played(epoch, position)

    # what the stream uses

    @property
    def speaking(self) -> bool:
        """Whether the agent is heard at this moment."""
        return self._speaking

    async def hear(self, sound: AsyncIterator[Pcm8k]) -> None:
        """Take the client's sound until it ends, or all is closed; it is not read further while
        two seconds wait."""
        async for piece in sound:
            while len(self._inbound) // 2 > MOST_INBOUND and not self.closed.is_set():
                await self._for_room()
            if self.closed.is_set():
                return
            self._inbound += piece.data
        while len(self._inbound) >= _FRAME_BYTES and not self.closed.is_set():
            await self._for_room()

    async def _for_room(self) -> None:
        self._room.clear()
        await self._room.wait()

    async def run(self, on_tick: Callable[[MediaTick], None]) -> None:
        """The call's clock, until it is closed."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            due = max(due + TICK_S, loop.time() - 0.2)  # what is late by more is left out
            await asyncio.sleep(due - loop.time())
            if self.closed.is_set():
                return
            on_tick(self.tick())

    def tick(self) -> MediaTick:
        """20 ms pass."""
        kind, inbound = self._next_inbound()
        position = self._position
        self._position += FRAME_SAMPLES
        sound = Pcm8k(self._queue.take())
        finished = self._queue.finished()
        self._speaking = len(sound) > 0
        rest = Pcm8k.silence(FRAME_SAMPLES - len(sound))
        if len(sound) or finished:  # nothing goes out while nothing is said
            self._send(sound if len(sound) else rest, bool(finished))
        return MediaTick(
            kind=kind,
            inbound=inbound,
            inbound_position=position,
            reference=sound + rest,
            epoch=self._queue.epoch,
            played_epoch=self._queue.epoch,
            played_position=self._queue.played,
            credit_position=self._queue.credit_position,
            rtp=(),
            rtcp=None,
            digits=(),
            finished=finished,
        )

    def _next_inbound(self) -> tuple[FrameKind, Pcm8k]:
        if len(self._inbound) < _FRAME_BYTES:
            return FrameKind.NOISE, self._noise.frame(FRAME_SAMPLES)
        data = bytes(self._inbound[:_FRAME_BYTES])
        del self._inbound[:_FRAME_BYTES]
        self._room.set()
        return FrameKind.REAL, Pcm8k(data)

    def _send(self, sound: Pcm8k, ends: bool) -> None:
        self._outbox.append((sound, ends))
        if len(self._outbox) > MOST_OUTBOUND:
            _, ended = self._outbox.popleft()
            self.lost_frames += 1
            if ended:  # that the utterance is over is still said
                first, _ = self._outbox.popleft()
                self._outbox.appendleft((first, True))
        self._outgoing.set()

    async def sound(self) -> AsyncIterator[tuple[Pcm8k, bool]]:
        """What goes out, with each piece whether it ends an utterance, until it is closed."""
        while True:
            while self._outbox:
                yield self._outbox.popleft()
            if self.closed.is_set():
                return
            self._outgoing.clear()
            await self._outgoing.wait()

    def close(self, *, unsaid: bool = True) -> None:
        """Nothing waits any more; what the client has not had is still sent, if `unsaid`."""
        if not unsaid:
            self._outbox.clear()
        for event in (self.closed, self._room, self._outgoing):
            event.set()
