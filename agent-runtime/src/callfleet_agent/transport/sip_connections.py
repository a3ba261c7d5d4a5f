"""The TCP side of a SIP endpoint: connections in both directions, found again for responses."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from itertools import count
from typing import Any, cast

from callfleet_agent.sip.errors import RemoteProtocolError
from callfleet_agent.sip.framing import StreamFramer
from callfleet_agent.sip.settings import Peer
from callfleet_agent.time_limit import at_most
from callfleet_agent.transport.sip_settings import SipEndpointSettings

logger = logging.getLogger(__name__)

Address = tuple[str, int]


class Connection(asyncio.Protocol):
    """One stream: cuts what arrives into messages, and knows when it was used last."""

    def __init__(self, owner: "Connections", number: int) -> None:
        self._owner = owner
        self._framer = StreamFramer()
        self.number = number
        self.peer = Peer("TCP", "", 0, number)
        self.used_at = 0.0
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        host, port = transport.get_extra_info("peername")[:2]
        self.peer = Peer("TCP", host, port, self.number)
        self._owner.made(self)

    def data_received(self, data: bytes) -> None:
        self.used_at = self._owner.now()
        try:
            for message in self._framer.receive(data):
                self._owner.received(message, self.peer)
        except RemoteProtocolError as error:
            logger.info("SIP stream broken", extra={"reason": error.reason})
            self.abort()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self._owner.lost(self)

    def send(self, data: bytes) -> bool:
        """False when the other end does not read: the connection is given up."""
        if self.transport is None or self.transport.is_closing():
            return False
        if self.transport.get_write_buffer_size() > self._owner.settings.most_unsent_bytes:
            self.abort()
            return False
        self.used_at = self._owner.now()
        self.transport.write(data)
        return True

    def abort(self) -> None:
        if self.transport is not None:
            self.transport.abort()


class Connections:
    """All streams of one endpoint. ``received`` and ``failed`` are its owner's."""

    def __init__(
        self,
        settings: SipEndpointSettings,
        spawn: Callable[[Coroutine[Any, Any, None]], None],
        received: Callable[[bytes, Peer], None],
        failed: Callable[[Peer], None],
    ) -> None:
        self.settings = settings
        self.received = received
        self._failed = failed
        self._spawn = spawn
        self._loop = asyncio.get_running_loop()
        self._numbers = count(1)
        self._by_number: dict[int, Connection] = {}
        self._by_address: dict[Address, Connection] = {}
        self._waiting: dict[Address, list[tuple[Peer, bytes]]] = {}
        self._server: asyncio.Server | None = None
        self._sweep = self._loop.call_later(settings.idle_connection_s / 2, self._close_idle)

    def __len__(self) -> int:
        return len(self._by_number)

    def now(self) -> float:
        return self._loop.time()

    async def listen(self, host: str, port: int) -> int:
        """Accept connections; returns the bound port."""
        self._server = await self._loop.create_server(self._new, host, port)
        return int(self._server.sockets[0].getsockname()[1])

    def _new(self) -> Connection:
        return Connection(self, next(self._numbers))

    def made(self, connection: Connection) -> None:
        if len(self._by_number) >= self.settings.most_connections:
            logger.warning("Too many SIP connections")
            connection.abort()
            return
        connection.used_at = self.now()
        self._by_number[connection.number] = connection
        self._by_address[connection.peer.host, connection.peer.port] = connection

    def lost(self, connection: Connection) -> None:
        self._by_number.pop(connection.number, None)
        for address in [a for a, known in self._by_address.items() if known is connection]:
            del self._by_address[address]

    def send(self, destination: Peer, data: bytes) -> None:
        """Over the connection it names, one to the same address, or a new one."""
        address = (destination.host, destination.port)
        known = self._by_number.get(destination.connection or 0) or self._by_address.get(address)
        if known is not None and known.send(data):
            return
        waiting = self._waiting.get(address)
        if waiting is None:
            self._waiting[address] = [(destination, data)]
            self._spawn(self._connect(address))
        elif len(waiting) < self.settings.most_waiting_messages:
            waiting.append((destination, data))
        else:
            self._loop.call_soon(self._failed, destination)

    async def _connect(self, address: Address) -> None:
        try:
            async with at_most(self.settings.connect_timeout_s):
                _, connection = await self._loop.create_connection(self._new, *address)
        except (OSError, TimeoutError):
            logger.info("SIP connection failed")
            for destination, _ in self._waiting.pop(address):
                self._failed(destination)
            return
        # The name that was asked for finds the connection too, not only its address.
        self._by_address.setdefault(address, connection)
        for _, data in self._waiting.pop(address):
            connection.send(data)

    def _close_idle(self) -> None:
        oldest = self.now() - self.settings.idle_connection_s
        for connection in list(self._by_number.values()):
            if connection.used_at <= oldest:
                connection.abort()
        self._sweep = self._loop.call_later(self.settings.idle_connection_s / 2, self._close_idle)

    def close(self) -> None:
        """Stop listening, and close each stream once what was written is sent."""
        self._sweep.cancel()
        if self._server is not None:
            self._server.close()
        for connection in list(self._by_number.values()):
            if connection.transport is not None:
                connection.transport.close()
