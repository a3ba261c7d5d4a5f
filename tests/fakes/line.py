"""A caller's line: the connector's end of the link with a caller on it, speaking espeak-ng.

It ticks on its own clock (`speed` times as fast as real), keeps a noise floor, sends speech through
G.711, plays what the worker sends, and keeps all of it.
"""

import asyncio
import random
from collections import deque
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import numpy as np

from callfleet_agent.audio import FRAME_SAMPLES, FrameKind, Pcm8k
from callfleet_agent.audio.g711 import Law, decode, encode
from callfleet_agent.audio.level import SpeechOnset, last_above
from callfleet_agent.audio.noise import NoiseFloor
from callfleet_agent.link import (
    Audio,
    Caller,
    Context,
    Dtmf,
    EndOfSpeech,
    Event,
    Hangup,
    Hello,
    Interrupt,
    Interrupted,
    LinkError,
    Message,
    Ready,
    Tick,
)
from callfleet_agent.pipeline.synthesiser_espeak import EspeakSynthesiser
from callfleet_agent.transport.link_client import LinkClient

CREDIT = 1600


class FakeLine:
    """`async with FakeLine(socket) as line:` then say, press, and wait for what the agent does."""

    def __init__(
        self,
        socket: Path,
        *,
        caller: Caller | None = None,
        call: UUID | None = None,
        context: bytes | None = None,
        voice: str = "en-gb",
        speed: float = 1.0,
        echo: tuple[int, float] | None = None,
        noise_dbfs: float = -60.0,
    ) -> None:
        self.call = call or uuid4()
        self.context = context
        self.events: list[Event] = []
        self.interrupts = 0
        self.hangup_reason: str | None = None
        self.lost: LinkError | None = None
        self.answers_ms: list[float] = []
        self._socket = socket
        self._hello = Hello(
            call_number=1,
            dialed="+15550100",
            caller=caller or Caller(),
            resumed=context is not None,
        )
        self._speed = speed
        self._echo = echo
        self._voice = EspeakSynthesiser(voice, 150, limit_s=60.0)
        self._noise = NoiseFloor(random.Random(1), dbfs=noise_dbfs)
        self._saying: deque[Pcm8k] = deque()
        self._queue = Pcm8k(b"")
        self._epoch = 0
        self._played = 0
        self._end: int | None = None
        self._ended_epochs: list[str] = []
        self._position = 0
        self._said_at: int | None = None
        self._onset: SpeechOnset | None = None
        self._onset_from = 0
        self._ready = asyncio.Event()
        self._changed = asyncio.Condition()
        self.finished = 0  # prompts that were played to their end
        self.recording = bytearray()
        self._heard = bytearray()
        self._link: LinkClient | None = None
        self._clock: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "FakeLine":
        self._link = await LinkClient.open(
            str(self._socket), call=self.call, hello=self._hello, context=self.context,
            on_message=self._message, on_lost=self._was_lost,
        )  # fmt: skip
        self._clock = asyncio.get_running_loop().create_task(self._run())
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._clock is not None
        assert self._link is not None
        self._clock.cancel()
        await asyncio.gather(self._clock, return_exceptions=True)
        self._link.hangup("caller-hung-up")
        await self._link.closed()

    @property
    def ticks(self) -> int:
        """How many ticks of the line there were."""
        return self._position // FRAME_SAMPLES

    @property
    def states(self) -> list[str]:
        """The dialog's states, turn by turn."""
        return [str(event.fields["state"]) for event in self.events if event.name == "turn"]

    async def say(self, text: str) -> None:
        """Speaks; returns when the last sound of it has been sent."""
        await self.play(await self._voice.speech(text, private=False))

    async def play(self, sound: Pcm8k) -> None:
        """Sends a sound; returns when the last of it has been sent."""
        end = last_above(sound)
        self._saying.append(sound)
        while self._saying:
            await self._tick_passed()
        trailing = 0 if end is None else len(sound) - end
        self._said_at = self._position - trailing
        self._onset, self._onset_from = SpeechOnset(8000), self._position

    async def accepted(self) -> None:
        """Until the worker has taken the call."""
        await self._ready.wait()

    async def press(self, keys: str) -> None:
        """Presses keys, one after the other."""
        assert self._link is not None
        for key in keys:
            self._link.send(Dtmf(position=self._position, digit=key, duration_ms=100))
            for _ in range(5):
                await self._tick_passed()

    async def heard_out(self, count: int = 1) -> None:
        """Until the agent has finished `count` more prompts."""
        wanted = self.finished + count
        await self.until(lambda: self.finished >= wanted)

    async def until(self, condition: object, limit_s: float = 90.0) -> None:
        """Until the condition (a callable) holds; looked at on every tick."""
        assert callable(condition)
        async with asyncio.timeout(limit_s):
            while not condition():
                await self._tick_passed()

    async def reached(self, state: str) -> None:
        """Until the dialog is in this state."""
        await self.until(lambda: bool(self.states) and self.states[-1] == state)

    async def until_lost(self) -> None:
        """Until the worker is gone."""
        async with asyncio.timeout(60):
            while self.lost is None:
                async with self._changed:
                    await self._changed.wait()

    def has_heard(self, sound: object) -> bool:
        """Whether exactly this sound was played."""
        assert isinstance(sound, Pcm8k)
        return sound.data in bytes(self.recording)

    def _was_lost(self, error: LinkError) -> None:
        self.lost = error

    def _message(self, message: Message) -> None:
        match message:
            case Ready():
                self._ready.set()
            case Audio() if message.epoch == self._epoch:
                self._queue = self._queue + message.samples
            case EndOfSpeech() if message.epoch == self._epoch:
                self._end = message.position
            case Interrupt():
                self._interrupted(message.epoch)
            case Context():
                self.context = message.data
            case Event():
                self.events.append(message)
            case Hangup():
                self.hangup_reason = message.reason

    def _interrupted(self, epoch: int) -> None:
        assert self._link is not None
        self.interrupts += 1
        self._link.send(Interrupted(epoch=self._epoch, position=self._played))
        self._epoch, self._played, self._end, self._queue = epoch, 0, None, Pcm8k(b"")

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        await self._ready.wait()
        due = loop.time()
        while True:
            due += 0.02 / self._speed
            await asyncio.sleep(max(0.0, due - loop.time()))
            self._tick()
            async with self._changed:
                self._changed.notify_all()

    def _tick(self) -> None:
        assert self._link is not None
        playing = self._queue.slice(0, FRAME_SAMPLES)
        self._queue = self._queue.slice(FRAME_SAMPLES)
        self._played += len(playing)
        missing = FRAME_SAMPLES - len(playing)
        reference = playing + Pcm8k.silence(missing)
        self.recording += playing.data
        self._heard += reference.data
        if self._end is not None and self._played >= self._end:
            self._end = None
            self.finished += 1
        if self._onset is not None and self._onset.feed(reference) is not None:
            self._answered()
        tick = Tick(
            epoch=self._epoch, position=self._position, kind=FrameKind.REAL,
            played_epoch=self._epoch, played_position=self._played,
            credit_position=self._played + CREDIT, inbound=self._spoken(), reference=reference,
        )  # fmt: skip
        self._link.send(tick)
        self._position += FRAME_SAMPLES

    def _answered(self) -> None:
        assert self._onset is not None
        assert self._onset.start is not None
        assert self._said_at is not None
        began = self._onset_from + self._onset.start
        self.answers_ms.append((began - self._said_at) / 8)
        self._onset = None

    def _spoken(self) -> Pcm8k:
        noise = self._noise.frame(FRAME_SAMPLES)
        piece = Pcm8k(b"")
        if self._saying:
            piece = self._saying[0].slice(0, FRAME_SAMPLES)
            rest = self._saying[0].slice(FRAME_SAMPLES)
            self._saying[0] = rest
            if not len(rest):
                self._saying.popleft()
        piece = piece + Pcm8k.silence(FRAME_SAMPLES - len(piece))
        mixed = piece.samples.astype(float) + noise.samples + self._echoed()
        return decode(encode(Pcm8k.from_samples(mixed), Law.PCMU), Law.PCMU)

    def _echoed(self) -> "np.ndarray[Any, np.dtype[np.float64]] | float":
        if self._echo is None:
            return 0.0
        delay_ms, gain = self._echo
        end = len(self._heard) - 2 * 8 * delay_ms
        piece = Pcm8k(bytes(self._heard[max(0, end - 2 * FRAME_SAMPLES) : max(0, end)]))
        piece = Pcm8k.silence(FRAME_SAMPLES - len(piece)) + piece
        return piece.samples.astype(float) * gain

    async def _tick_passed(self) -> None:
        if self.lost is not None:
            raise self.lost
        assert self._clock is not None
        if self._clock.done():
            self._clock.result()
        async with self._changed:
            await self._changed.wait()
