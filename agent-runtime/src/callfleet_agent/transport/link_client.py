"""The connector's end of a link: one connection to a worker's Unix socket for each call.

Nothing here waits: a worker that does not read costs its call ticks, never memory.
"""

from __future__ import annotations

import asyncio
import socket
from collections import deque
from collections.abc import Callable
from typing import Final, Self, cast
from uuid import UUID

from callfleet_agent.link import (
    Context,
    Hangup,
    Hello,
    LinkConnection,
    LinkError,
    LinkLost,
    Message,
    Ping,
    Pong,
    RemoteProtocolError,
    Side,
    Tick,
)
from callfleet_agent.rtp import MediaTick

PING_INTERVAL_S: Final = 1.0
MAX_UNANSWERED_PINGS: Final = 5  # a worker that is short of CPU is not a dead one
CLOSE_TIMEOUT_S: Final = 5.0
MAX_WAITING_TICKS: Final = 50  # 1 s
MAX_WAITING: Final = 256
_WRITE_BUFFER_BYTES: Final = 16 * 1024
_SEND_BUFFER_BYTES: Final = 32 * 1024

OnMessage = Callable[[Message], None]
OnLost = Callable[[LinkError], None]


def tick_message(tick: MediaTick) -> Tick:
    """What a worker is told of a tick of the media."""
    return Tick(
        epoch=tick.epoch,
        position=tick.inbound_position,
        kind=tick.kind,
        played_epoch=tick.played_epoch,
        played_position=tick.played_position,
        credit_position=tick.credit_position,
        inbound=tick.inbound,
        reference=tick.reference,
    )


class LinkClient(asyncio.Protocol):
    """A call's link. `on_message` gets the worker's messages; `on_lost` is called once, when the
    worker is gone, silent, or breaks the protocol, and never after `hangup`, `abort` or a
    refusal."""

    def __init__(self, call: UUID, on_message: OnMessage, on_lost: OnLost) -> None:
        self.connection = LinkConnection(Side.CONNECTOR, call)
        self.dropped_ticks = 0
        self._on_message = on_message
        self._on_lost = on_lost
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._waiting: deque[Message] = deque()
        self._waiting_ticks = 0
        self._paused = False
        self._ending = False
        self._unanswered = 0
        self._nonce = 0
        self._timer: asyncio.TimerHandle | None = None
        self._closed = self._loop.create_future()

    @classmethod
    async def open(
        cls,
        path: str,
        *,
        call: UUID,
        hello: Hello,
        on_message: OnMessage,
        on_lost: OnLost,
        context: bytes | None = None,
    ) -> Self:
        """Connects and offers the call; `context` is that of a resumed one. Raises LinkLost when
        nobody listens."""
        link = cls(call, on_message, on_lost)
        try:
            await link._loop.create_unix_connection(lambda: link, path)
        except OSError as error:
            raise LinkLost("no worker listens") from error
        link.send(hello)
        if hello.resumed:
            link.send(Context(data=context or b""))
        link._ping_later()
        return link

    @property
    def is_open(self) -> bool:
        """Whether what is sent has somewhere to go; no longer so before `on_lost` is called."""
        transport = self._transport
        return transport is not None and not (self._ending or transport.is_closing())

    def send(self, message: Message) -> None:
        """Sends, or queues while the worker does not read. Dropped when the link has ended.
        Raises LocalProtocolError for what may not be sent."""
        if self._transport is None or self._ending:
            return
        if self._paused:
            self._queue(message)
        else:
            self._transport.write(self.connection.send(message))

    def hangup(self, reason: str) -> None:
        """Tells the worker that the call is over. It has 5 s to close."""
        if self._ending:
            return
        self.send(Hangup(reason=reason))
        self._ending = True
        self._cancel_timer()
        self._timer = self._loop.call_later(CLOSE_TIMEOUT_S, self.abort)

    def abort(self) -> None:
        """Closes at once; `on_lost` is not called."""
        self._ending = True
        self._cancel_timer()
        if self._transport is not None:
            self._transport.abort()

    async def closed(self) -> None:
        """Waits until the connection is gone."""
        await asyncio.shield(self._closed)

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=_WRITE_BUFFER_BYTES)
        sock = cast("socket.socket", transport.get_extra_info("socket"))
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER_BYTES)

    def data_received(self, data: bytes) -> None:
        try:
            messages = self.connection.receive_data(data)
        except RemoteProtocolError as error:
            self._lose(error)
            return
        for message in messages:
            if isinstance(message, Pong):
                self._unanswered = 0
            else:
                self._on_message(message)

    def eof_received(self) -> bool:
        try:
            self.connection.receive_eof()
        except RemoteProtocolError as error:
            self._lose(error)
        else:  # after our Hangup, or a refusal: nothing is lost
            self._ending = True
        return False

    def pause_writing(self) -> None:
        self._paused = True

    def resume_writing(self) -> None:
        self._paused = False
        while self._waiting and not self._paused and self._transport is not None:
            message = self._waiting.popleft()
            if isinstance(message, Tick):
                self._waiting_ticks -= 1
                if message.epoch < self.connection.epoch:
                    self.dropped_ticks += 1
                    continue
            self._transport.write(self.connection.send(message))

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._lose(LinkLost("the worker closed the link"), exc)
        self._cancel_timer()
        if not self._closed.done():
            self._closed.set_result(None)

    # inside

    def _queue(self, message: Message) -> None:
        if isinstance(message, Tick):
            self._waiting_ticks += 1
            if self._waiting_ticks > MAX_WAITING_TICKS:
                oldest = next(each for each in self._waiting if isinstance(each, Tick))
                self._waiting.remove(oldest)
                self._waiting_ticks -= 1
                self.dropped_ticks += 1
        self._waiting.append(message)
        if len(self._waiting) > MAX_WAITING:
            self._lose(LinkLost("the worker does not read"))

    def _lose(self, error: LinkError, cause: Exception | None = None) -> None:
        if self._ending:
            return
        error.__cause__ = cause
        self.abort()
        # Later, so that nobody is called back out of his own send().
        self._loop.call_soon(self._on_lost, error)

    def _ping_later(self) -> None:
        if not self._ending:
            self._timer = self._loop.call_later(PING_INTERVAL_S, self._ping)

    def _ping(self) -> None:
        if self._unanswered >= MAX_UNANSWERED_PINGS:
            self._lose(LinkLost("the worker does not answer"))
            return
        self._unanswered += 1
        self._nonce += 1
        self.send(Ping(nonce=self._nonce))
        self._ping_later()

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
