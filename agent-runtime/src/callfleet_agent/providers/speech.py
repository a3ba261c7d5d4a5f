"""A sentence while it is being spoken: pieces come in from a provider and go out to the caller."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

from callfleet_agent.audio import Pcm8k
from callfleet_agent.providers.errors import SynthesiserError


@dataclass(frozen=True, slots=True)
class Spoken:
    """A piece of a sentence. `anew`: another voice begins the whole sentence again."""

    sound: Pcm8k
    anew: bool = False


class Speech:
    """Is made ahead of being needed; made by `make`, which hands pieces to its argument.

    When a provider breaks off, what of it has not been sent yet is dropped, and the sentence begins
    again in the other voice: no sentence has two voices.
    """

    def __init__(self, make: Callable[["Speech"], Awaitable[None]]) -> None:
        self._pieces: deque[Spoken] = deque()
        self._changed = asyncio.Event()
        self._task = asyncio.ensure_future(self._made(make))
        self._task.add_done_callback(self._finished)

    def add(self, sound: Pcm8k, *, anew: bool) -> None:
        """The next piece."""
        if anew:
            self._pieces.clear()
        self._pieces.append(Spoken(sound, anew))
        self._changed.set()

    @property
    def done(self) -> bool:
        """Whether all of it has been made."""
        return self._task.done()

    def cancel(self) -> None:
        """Nobody will listen."""
        self._task.cancel()

    async def pieces(self) -> AsyncIterator[Spoken]:
        """The sentence as it comes; to be read once. Raises SynthesiserError."""
        while True:
            while self._pieces:
                yield self._pieces.popleft()
            if self._task.done():
                break
            self._changed.clear()
            await self._changed.wait()
        if self._task.cancelled():
            raise SynthesiserError("the sentence was cancelled")
        if (error := self._task.exception()) is not None:
            raise error

    async def whole(self) -> Pcm8k:
        """All of it, as the last voice spoke it. Raises SynthesiserError."""
        sound = Pcm8k(b"")
        async for piece in self.pieces():
            sound = piece.sound if piece.anew else sound + piece.sound
        return sound

    async def _made(self, make: Callable[["Speech"], Awaitable[None]]) -> None:
        await make(self)

    def _finished(self, task: "asyncio.Task[None]") -> None:
        if not task.cancelled():
            task.exception()  # raised to whoever listens; otherwise of no interest
        self._changed.set()
