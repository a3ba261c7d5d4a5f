"""A UserAgent on real sockets: UDP and TCP, the loop's clock, and tasks that have an owner."""

import asyncio
import ipaddress
import logging
import socket
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import replace
from typing import Any

from callfleet_agent.sip.core import Outgoing
from callfleet_agent.sip.events import Event
from callfleet_agent.sip.settings import Peer
from callfleet_agent.sip.user_agent import UserAgent
from callfleet_agent.time_limit import at_most
from callfleet_agent.transport import udp_socket
from callfleet_agent.transport.sip_connections import Connections
from callfleet_agent.transport.sip_settings import SipEndpointSettings
from callfleet_agent.transport.unreadable import UnreadableLog

logger = logging.getLogger(__name__)

_BIND_TRIES = 10

__all__ = ["SipEndpoint", "SipEndpointSettings"]


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, received: Callable[[bytes, Peer], None]) -> None:
        self._received = received

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self._received(data, Peer("UDP", addr[0], addr[1]))

    def error_received(self, exc: Exception) -> None:
        """An ICMP error names no request; its transaction times out."""
        logger.debug("SIP datagram refused", extra={"error": type(exc).__name__})


class SipEndpoint:
    """Made by ``open``. Every method runs in the loop that opened it."""

    def __init__(
        self,
        user_agent: UserAgent,
        handler: Callable[[Event], None],
        settings: SipEndpointSettings,
        group: asyncio.TaskGroup,
    ) -> None:
        self.user_agent = user_agent
        self.settings = settings
        self.port = settings.port
        self._handler = handler
        self._group = group
        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        self._connections = Connections(settings, self._spawn, self._received, self._failed)
        self._udp: asyncio.DatagramTransport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at: float | None = None
        self._flushing = False
        self._closed = False
        self._unreadable = UnreadableLog()
        self._idle = asyncio.Event()

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        user_agent: UserAgent,
        handler: Callable[[Event], None],
        settings: SipEndpointSettings | None = None,
    ) -> AsyncIterator["SipEndpoint"]:
        """Listen until the block ends. ``handler`` gets the events, in order, from the loop.

        OSError when the address is taken.
        """
        failure: BaseException | None = None
        async with asyncio.TaskGroup() as group:
            endpoint = cls(user_agent, handler, settings or SipEndpointSettings(), group)
            try:
                await endpoint._bind()
                yield endpoint
            except BaseException as error:
                failure = error
            finally:
                await endpoint.close()
                endpoint._cancel_tasks()
        if failure is not None:
            raise failure

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._group.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _cancel_tasks(self) -> None:
        for task in self._tasks:
            task.cancel()

    async def _bind(self) -> None:
        for left in reversed(range(_BIND_TRIES)):
            try:
                await self._bind_once()
                break
            except OSError:
                self._unbind()
                if self.settings.port or not left:
                    raise
        advertised = self.user_agent.settings.advertised
        if advertised.port == 0:
            self.user_agent.advertise(replace(advertised, port=self.port))

    async def _bind_once(self) -> None:
        """Both transports on one port; a free one may be taken for the other: then try again."""
        host, self.port = self.settings.host, self.settings.port
        if self.settings.udp:
            transport, _ = await self._loop.create_datagram_endpoint(
                lambda: _Datagrams(self._received), sock=udp_socket.bound(host, self.port)
            )
            self._udp = transport
            bound = transport.get_extra_info("socket")
            bound.setsockopt(
                socket.SOL_SOCKET, socket.SO_RCVBUF, self.settings.receive_buffer_bytes
            )
            self.port = int(transport.get_extra_info("sockname")[1])
        if self.settings.tcp:
            self.port = await self._connections.listen(host, self.port)

    def _unbind(self) -> None:
        if self._udp is not None:
            self._udp.close()
            self._udp = None

    @property
    def connections(self) -> int:
        """How many streams are open."""
        return len(self._connections)

    # In

    def _received(self, data: bytes, source: Peer) -> None:
        now = self._loop.time()
        self.user_agent.receive(data, source, now=now)
        self._unreadable.tell(self.user_agent.unanswered, source.transport, now)
        self.flush()

    def _failed(self, destination: Peer) -> None:
        self.user_agent.transport_failed(destination, now=self._loop.time())
        self.flush()

    def _due(self) -> None:
        self._timer = None
        self.user_agent.handle_timers(now=self._loop.time())
        self.flush()

    @contextmanager
    def commands(self) -> Iterator[float]:
        """Give commands to calls in this block; its value is ``now``."""
        try:
            yield self._loop.time()
        finally:
            self.flush()

    # Out

    def flush(self) -> None:
        """Send what is to be sent, tell what happened, set the timer."""
        if self._flushing:
            return  # a handler gave commands: the loop below takes them up
        self._flushing = True
        try:
            while self._flush_once():
                pass
        finally:
            self._flushing = False
        self._set_timer()
        if self.user_agent.idle:
            self._idle.set()
        else:
            self._idle.clear()

    def _flush_once(self) -> bool:
        outgoing, events = self.user_agent.take_datagrams(), self.user_agent.take_events()
        for message in outgoing:
            self._send(message)
        for event in events:
            self._tell(event)
        return bool(outgoing or events)

    def _tell(self, event: Event) -> None:
        try:
            self._handler(event)
        except Exception:
            # One call's trouble must not be another's.
            logger.exception("SIP event handler failed", extra={"event": type(event).__name__})

    def _send(self, message: Outgoing) -> None:
        destination = message.destination
        if destination.transport == "TCP":
            self._connections.send(destination, message.data)
        elif _is_address(destination.host):
            self._send_datagram((destination.host, destination.port), message.data)
        else:
            self._spawn(self._resolve_and_send(message))

    def _send_datagram(self, address: tuple[str, int], data: bytes) -> None:
        if self._udp is not None and not self._udp.is_closing():
            self._udp.sendto(data, address)

    async def _resolve_and_send(self, message: Outgoing) -> None:
        destination = message.destination
        try:
            found = await self._loop.getaddrinfo(
                destination.host, destination.port, family=self._family(), type=socket.SOCK_DGRAM
            )
        except OSError:
            self._failed(destination)
            return
        host, port = found[0][4][:2]
        self._send_datagram((str(host), int(port)), message.data)

    def _family(self) -> int:
        """That of our socket."""
        return int(self._udp.get_extra_info("socket").family) if self._udp is not None else 0

    def _set_timer(self) -> None:
        at = None if self._closed else self.user_agent.next_timer()
        if self._timer is not None:
            if at == self._timer_at:
                return
            self._timer.cancel()
            self._timer = None
        self._timer_at = at  # uvloop's handles cannot always be asked
        if at is not None:
            self._timer = self._loop.call_at(at, self._due)

    async def close(self, linger_s: float = 0.0) -> None:
        """Stop; ``linger_s``: wait so long for the last transaction (32 s ends every one)."""
        self.flush()
        if linger_s > 0:
            with suppress(TimeoutError):
                async with at_most(linger_s):
                    await self._idle.wait()
        self._closed = True
        self._set_timer()
        self._connections.close()
        self._unbind()


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
