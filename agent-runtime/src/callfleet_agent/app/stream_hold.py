"""One stream of a conversation, from its beginning until its worker has handed the conversation
over.

It lives apart from the RPC that carries it: a client that has gone, or does not read, holds up its
RPC and never the conversation.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from typing import Final, Protocol

from callfleet_agent.app.conversation import NobodyTalksError
from callfleet_agent.app.stream_media import StreamMedia
from callfleet_agent.audio import Pcm8k
from callfleet_agent.rtp import MediaTick
from callfleet_agent.services.errors import (
    EngineFailedError,
    NoWorkerError,
    StreamTakenOverError,
)
from callfleet_agent.session import Call
from callfleet_agent.sip.dialog import Dialog

TAKEN_OVER: Final = "taken-over"
_log = logging.getLogger(__name__)


class Talk(Protocol):
    """The conversation with workers, as Conversation has it."""

    call: Call[Dialog]

    async def run(self) -> str:
        """Until the agent ends it: its reason. Raises NobodyTalksError."""

    async def end(self, reason: str) -> None:
        """Tell the worker that it is over, and take what it hands over."""

    def tick(self, tick: MediaTick) -> None:
        """20 ms went by."""


class Stream:
    """A stream that has begun. Made in the task that reads its sound. `on_left` is called when its
    worker has left, for which it has `leave_s`; `gone` is the task that ends after that."""

    def __init__(
        self,
        media: StreamMedia,
        talk: Talk,
        sound: AsyncIterator[Pcm8k],
        on_left: Callable[["Stream"], None],
        leave_s: float,
    ) -> None:
        self.media = media
        self.talk = talk
        self.said: str | None = None  # the agent's reason, when it has ended the call
        self.taken_over = False
        self._failed: Exception | None = None
        self._reason = ""
        self._over = asyncio.Event()
        self._leave_s = leave_s
        self._reader = asyncio.current_task()
        self._reset: asyncio.TimerHandle | None = None
        self._hearing = asyncio.create_task(media.hear(sound))
        self._ticking = asyncio.create_task(self._tick())
        self._talking = asyncio.create_task(self._talk())
        self._hearing.add_done_callback(lambda _: self.end("caller-left"))
        self.gone = asyncio.create_task(self._course(on_left))

    async def _talk(self) -> None:
        try:
            self.said = await self.talk.run()
        except NobodyTalksError:
            self._failed = NoWorkerError()
        except Exception as error:
            self._fail(error)
        self.end(self.said or "failed")

    async def _tick(self) -> None:
        try:
            await self.media.run(self.talk.tick)
        except Exception as error:
            self._fail(error)
            self.end("failed")

    def _fail(self, error: Exception) -> None:
        # The error's text may hold what was said: its type is enough.
        _log.error("a conversation failed", extra={"error": type(error).__name__})
        self._failed = EngineFailedError()

    async def _course(self, on_left: Callable[["Stream"], None]) -> None:
        tasks = [self._hearing, self._ticking, self._talking]
        try:
            await self._over.wait()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            tasks.append(asyncio.create_task(self.talk.end(self._reason)))
            await asyncio.wait(tasks[-1:], timeout=self._leave_s)
        finally:
            self.media.close()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            on_left(self)

    def end(self, reason: str) -> None:
        """It is over: the worker is told why, once."""
        if not self._over.is_set():
            self._reason = reason
            self.media.close(unsaid=reason != TAKEN_OVER)
            self._over.set()

    def take_over(self) -> None:
        """A newer stream goes on with the conversation: this one's worker hands it over, and its
        reader is told. One that is stuck with a client that does not read is cancelled."""
        if self._over.is_set():
            return  # it is about to leave
        self.taken_over = True
        self.end(TAKEN_OVER)
        if self._reader is not None:
            loop = asyncio.get_running_loop()
            self._reset = loop.call_later(self._leave_s, self._reader.cancel)

    def leave(self) -> None:
        """Nobody reads or speaks any more."""
        if self._reset is not None:
            self._reset.cancel()
        self._hearing.cancel()
        self.end("caller-left")

    def check(self) -> None:
        """Raises what the client is to be told: another stream took over, what it sent was wrong,
        or nobody can talk with it."""
        if self.taken_over:
            raise StreamTakenOverError
        if self._hearing.done() and not self._hearing.cancelled():
            self._hearing.result()
        if self._failed is not None:
            raise self._failed
