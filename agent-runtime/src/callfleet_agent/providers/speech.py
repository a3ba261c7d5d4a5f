"""A sentence while it is being spoken: pieces come in from a provider and go out to the caller."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass, replace

from callfleet_agent.audio import Pcm8k
from callfleet_agent.providers.errors import SynthesiserError


@dataclass(frozen=True, slots=True)
class Spoken:
    """A piece of a sentence. `anew`: here another voice takes over, and says the sentence from
    its character `since` on."""

    sound: Pcm8k
    anew: bool = False
    since: int = 0


class Speech:
    """Is made ahead of being needed; made by `make`, which hands pieces to its argument.

    When a provider breaks off, what has come of it goes on being read until another voice begins;
    then what of it is left beyond that place is dropped. The first voice does not come back in
    that sentence.
    """

    def __init__(self, make: Callable[["Speech"], Awaitable[None]]) -> None:
        self._pieces: deque[Spoken] = deque()
        self._changed = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._lasts_until = 0.0
        self._read_s = 0.0
        self._task = asyncio.ensure_future(self._made(make))
        self._task.add_done_callback(self._finished)

    def add(self, sound: Pcm8k, *, anew: bool, since: int = 0, keep_s: float = 0.0) -> None:
        """The next piece. Where it begins anew, `keep_s` seconds of the voice before are kept."""
        if anew:
            self._cut(keep_s)
        self._pieces.append(Spoken(sound, anew, since))
        self._changed.set()

    @property
    def ahead_s(self) -> float:
        """How long the caller has something to hear: what was not read yet, and what is being sent
        of what was."""
        unread_s = sum(piece.sound.seconds for piece in self._pieces)
        return unread_s + max(0.0, self._lasts_until - self._loop.time())

    @property
    def done(self) -> bool:
        """Whether all of it has been made."""
        return self._task.done()

    def cancel(self) -> None:
        """Nobody will listen."""
        self._task.cancel()

    async def pieces(self) -> AsyncIterator[Spoken]:
        """The sentence as it comes, to be read once, and each piece sent before the next is asked
        for. Raises SynthesiserError."""
        async with aclosing(self._read()) as read:
            async for piece in read:
                self._lasts_until = self._loop.time() + piece.sound.seconds
                yield piece
                self._lasts_until = 0.0

    async def whole(self) -> Pcm8k:
        """All of it, from the last voice that began at its beginning. Raises SynthesiserError."""
        sound = Pcm8k(b"")
        async for piece in self.pieces():
            begins = piece.anew and piece.since == 0
            sound = piece.sound if begins else sound + piece.sound
        return sound

    def _cut(self, keep_s: float) -> None:
        """Leaves so much of the last voice, in all, to be read; all of those before it."""
        begins = max((n for n, piece in enumerate(self._pieces) if piece.anew), default=None)
        read_s = self._read_s if begins is None else 0.0
        left = round((keep_s - read_s) * Pcm8k.rate)
        kept: deque[Spoken] = deque()
        for number, piece in enumerate(self._pieces):
            if begins is not None and number < begins:
                kept.append(piece)
            elif left > 0:
                kept.append(replace(piece, sound=piece.sound.slice(0, left)))
                left -= len(piece.sound)
        self._pieces = kept

    async def _read(self) -> AsyncGenerator[Spoken, None]:
        while True:
            while self._pieces:
                piece = self._pieces.popleft()
                self._read_s = (0.0 if piece.anew else self._read_s) + piece.sound.seconds
                yield piece
            if self._task.done():
                break
            self._changed.clear()
            await self._changed.wait()
        if self._task.cancelled():
            raise SynthesiserError("the sentence was cancelled")
        if (error := self._task.exception()) is not None:
            raise error

    async def _made(self, make: Callable[["Speech"], Awaitable[None]]) -> None:
        await make(self)

    def _finished(self, task: "asyncio.Task[None]") -> None:
        if not task.cancelled():
            task.exception()  # raised to whoever listens; otherwise of no interest
        self._changed.set()
