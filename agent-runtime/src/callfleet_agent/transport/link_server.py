"""The worker's end of the links: a Unix socket, one connection and one task for each call."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Final, cast
from uuid import UUID

from callfleet_agent.audio import Pcm8k
from callfleet_agent.link import (
    MAX_AUDIO_SAMPLES,
    Audio,
    Context,
    EndOfSpeech,
    Event,
    Hangup,
    Hello,
    Interrupt,
    LinkConnection,
    LinkError,
    LinkLost,
    Message,
    Ping,
    Pong,
    Ready,
    RemoteProtocolError,
    Side,
    Tick,
)
from callfleet_agent.link.messages import EventValue
from callfleet_agent.transport.failure import described

log = logging.getLogger(__name__)

HELLO_TIMEOUT_S: Final = 5.0
MAX_WAITING_TICKS: Final = 50  # 1 s
MAX_WAITING: Final = 1024

Handler = Callable[["WorkerLink"], Awaitable[None]]


class WorkerLink(asyncio.Protocol):
    """A call's link. Iterating gives Tick, Dtmf, Interrupted, and Hangup as the last; it raises
    LinkError when the connector is gone without one."""

    def __init__(self, on_offered: Callable[[WorkerLink], None]) -> None:
        self.connection = LinkConnection(Side.WORKER)
        self.context: bytes | None = None
        self.played_epoch = 0
        self.played_position = 0
        self.dropped_ticks = 0
        self._hello: Hello | None = None
        self._on_offered = on_offered
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._inbox: deque[Message] = deque()
        self._inbox_ticks = 0
        self._arrived = asyncio.Event()
        self._credit = asyncio.Event()
        self._speaking = asyncio.Lock()
        self._error: LinkError | None = None
        self._ended = False
        self._timer: asyncio.TimerHandle | None = None

    # what the handler uses

    @property
    def call(self) -> UUID:
        return cast("UUID", self.connection.call)

    @property
    def hello(self) -> Hello:
        return cast("Hello", self._hello)

    @property
    def epoch(self) -> int:
        return self.connection.epoch

    @property
    def sent_position(self) -> int:
        return self.connection.speech_end

    def writable_samples(self) -> int:
        return self.connection.writable_samples()

    def send(self, message: Message) -> None:
        """Raises LocalProtocolError for what may not be sent, LinkError when the link is lost."""
        data = self.connection.send(message)
        if self._error is not None:
            raise self._error
        cast("asyncio.Transport", self._transport).write(data)

    def accept(self) -> None:
        self.send(Ready())

    def refuse(self, reason: str) -> None:
        self.send(Hangup(reason=reason))

    async def speak(self, sound: Pcm8k) -> bool:
        """Sends `sound` as the credit allows. False when it was not sent to its end, because of
        an interruption or because the call ended."""
        async with self._speaking:
            epoch, done = self.epoch, 0
            while done < len(sound):
                if self._error is not None:
                    raise self._error
                if self.epoch != epoch or self._ended:
                    return False
                samples = min(self.writable_samples(), MAX_AUDIO_SAMPLES, len(sound) - done)
                if samples == 0:
                    self._credit.clear()
                    await self._credit.wait()
                    continue
                piece = sound.slice(done, done + samples)
                self.send(Audio(epoch=epoch, position=self.sent_position, samples=piece))
                done += samples
            return True

    def end_of_speech(self) -> tuple[int, int]:
        """Marks the end of an utterance; the (epoch, position) to compare with what is played."""
        mark = (self.epoch, self.sent_position)
        self.send(EndOfSpeech(epoch=mark[0], position=mark[1]))
        return mark

    def interrupt(self) -> int:
        """Stops what is being said, and gives the new epoch."""
        self.send(Interrupt(epoch=self.epoch + 1))
        self._credit.set()
        return self.epoch

    def hangup(self, reason: str) -> None:
        """Ends the call once all that was sent has been heard."""
        self.send(Hangup(epoch=self.epoch, position=self.sent_position, reason=reason))

    def hand_over(self, context: bytes) -> None:
        self.send(Context(epoch=self.epoch, position=self.sent_position, data=context))

    def event(self, name: str, **fields: EventValue) -> None:
        self.send(Event(epoch=self.epoch, position=self.sent_position, name=name, fields=fields))

    async def __aiter__(self) -> AsyncIterator[Message]:
        while True:
            while self._inbox:
                message = self._inbox.popleft()
                self._inbox_ticks -= isinstance(message, Tick)
                yield message
                if isinstance(message, Hangup):
                    return
            if self._error is not None:
                raise self._error
            self._arrived.clear()
            await self._arrived.wait()

    def close(self) -> None:
        """Closes when all that was sent is written."""
        self._cancel_timer()
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        self._cancel_timer()
        if self._transport is not None:
            self._transport.abort()

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._timer = self._loop.call_later(HELLO_TIMEOUT_S, self.abort)

    def data_received(self, data: bytes) -> None:
        try:
            for message in self.connection.receive_data(data):
                self._receive(message)
        except RemoteProtocolError as error:
            self._lose(error)
            self.abort()

    def eof_received(self) -> bool:
        try:
            self.connection.receive_eof()
        except RemoteProtocolError as error:
            self._lose(error)
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._cancel_timer()
        error = LinkLost("the connector closed the link")
        error.__cause__ = exc
        self._lose(error)

    # inside

    def _receive(self, message: Message) -> None:
        match message:
            case Hello():
                self._hello = message
                self.played_epoch = message.epoch
                if not message.resumed:
                    self._offered()
            case Context():
                self.context = message.data
                self._offered()
            case Ping():
                self.send(Pong(nonce=message.nonce))
            case Tick():
                self.played_epoch, self.played_position = (
                    message.played_epoch,
                    message.played_position,
                )
                self._credit.set()
                self._put_tick(message)
            case _:
                self._ended = isinstance(message, Hangup)
                self._credit.set()
                self._put(message)

    def _offered(self) -> None:
        self._cancel_timer()
        self._on_offered(self)

    def _put_tick(self, tick: Tick) -> None:
        self._inbox_ticks += 1
        if self._inbox_ticks > MAX_WAITING_TICKS:
            self._inbox.remove(next(each for each in self._inbox if isinstance(each, Tick)))
            self._inbox_ticks -= 1
            self.dropped_ticks += 1
        self._put(tick)

    def _put(self, message: Message) -> None:
        self._inbox.append(message)
        self._arrived.set()
        if len(self._inbox) > MAX_WAITING:
            self._lose(LinkLost("the call's handler does not read"))
            self.abort()

    def _lose(self, error: LinkError) -> None:
        if self._error is None:
            self._error = error
        self._arrived.set()
        self._credit.set()

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class LinkServer:
    """Listens on a Unix socket and runs `handler(link)` for each call that is offered.

    A handler that returns closes its link; one that fails breaks it, so that the connector gives
    the call to another worker.
    """

    def __init__(self, path: str, handler: Handler) -> None:
        self._path = path
        self._handler = handler
        self._server: asyncio.AbstractServer | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def calls(self) -> int:
        return len(self._tasks)

    async def start(self) -> None:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_unix_server(lambda: WorkerLink(self._offered), self._path)

    async def stop(self) -> None:
        """Stops listening, cancels the calls and waits for them."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        _forget(self._path)

    def _offered(self, link: WorkerLink) -> None:
        task = asyncio.get_running_loop().create_task(self._run(link))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, link: WorkerLink) -> None:
        try:
            await self._handler(link)
        except LinkError as error:
            log.warning("a call's link was lost", extra={"reason": str(error)})
            link.abort()
        except Exception as error:
            log.error("a call's handler failed", extra=described(error))  # noqa: TRY400
            link.abort()
        finally:
            link.close()


def _forget(path: str) -> None:
    Path(path).unlink(missing_ok=True)
