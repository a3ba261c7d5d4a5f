"""Pairs of UDP ports for media: even for RTP, the odd one above for RTCP (RFC 3550, 11)."""

from __future__ import annotations

import asyncio
import errno
import secrets
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Final, Self, cast

from callfleet_agent.rtp import Address
from callfleet_agent.transport import udp_socket

QUARANTINE_S: Final = 2.0
_PASSED_OVER: Final = frozenset({errno.EADDRINUSE, errno.EACCES})

OnDatagram = Callable[[bytes, Address], None]


class NoPortsFree(Exception):  # noqa: N818 - a state, and trying later helps
    """Every pair of the range is in use or in quarantine: answer 503."""


class PortRange:
    """Pairs of the ports `first` to `last`. A pair that was released is not given out again for
    a while, so that late packets of one call do not reach the next; the longest unused is next.

    Which is the first is left to chance (`begin` of so many), so that a program that starts again
    does not get the packets of calls from before, and nobody can guess a call's port (RFC 6056).
    """

    def __init__(
        self,
        first: int,
        last: int,
        *,
        quarantine_s: float = QUARANTINE_S,
        clock: Callable[[], float] = time.monotonic,
        begin: Callable[[int], int] = secrets.randbelow,
    ) -> None:
        start = first + first % 2
        self._free = deque(range(start, last, 2))
        if not self._free or not 0 < first <= last <= 0xFFFF:
            raise ValueError(f"no pair of ports in {first} to {last}")
        self._free.rotate(-begin(len(self._free)))
        self._quarantine_s = quarantine_s
        self._clock = clock
        self._quarantine: deque[tuple[float, int]] = deque()

    @property
    def free(self) -> int:
        """Pairs that can be had now."""
        self._end_quarantine()
        return len(self._free)

    def acquire(self) -> int:
        """The even port of a pair. Raises NoPortsFree."""
        self._end_quarantine()
        if not self._free:
            raise NoPortsFree
        return self._free.popleft()

    def release(self, port: int) -> None:
        self._quarantine.append((self._clock() + self._quarantine_s, port))

    def _end_quarantine(self) -> None:
        while self._quarantine and self._quarantine[0][0] <= self._clock():
            self._free.append(self._quarantine.popleft()[1])


class _Socket(asyncio.DatagramProtocol):
    """One of the two UDP sockets of a call."""

    def __init__(self) -> None:
        self.on_datagram: OnDatagram | None = None
        self.errors = 0
        self.transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        if self.on_datagram is not None:
            self.on_datagram(data, (addr[0], addr[1]))

    def error_received(self, exc: Exception) -> None:  # noqa: ARG002
        # ICMP says that nobody listens there: the media time-out decides, not one datagram.
        self.errors += 1

    def send(self, data: bytes, destination: Address | None) -> None:
        if self.transport is not None and destination is not None:
            self.transport.sendto(data, destination)

    def close(self) -> None:
        if self.transport is not None:
            self.transport.abort()
            self.transport = None


class RtpEndpoint:
    """The two sockets of one call. Until `listen`, what arrives is dropped."""

    def __init__(self, host: str, port: int, ports: PortRange) -> None:
        self.host = host
        self.port = port
        self._ports = ports
        self._rtp = _Socket()
        self._rtcp = _Socket()
        self._open = True

    @classmethod
    async def open(cls, host: str, ports: PortRange) -> Self:
        """Binds a pair on `host`; a pair that another process holds is passed over. Raises
        NoPortsFree when none can be bound; its cause says why where no other pair would help."""
        for _ in range(ports.free):
            endpoint = cls(host, ports.acquire(), ports)
            try:
                await endpoint._bind()
            except OSError as error:
                endpoint.close()
                if error.errno not in _PASSED_OVER:
                    raise NoPortsFree from error
            else:
                return endpoint
        raise NoPortsFree

    @property
    def errors(self) -> int:
        """Datagrams that were answered by an ICMP error."""
        return self._rtp.errors + self._rtcp.errors

    def listen(self, on_rtp: OnDatagram, on_rtcp: OnDatagram) -> None:
        self._rtp.on_datagram, self._rtcp.on_datagram = on_rtp, on_rtcp

    def send_rtp(self, data: bytes, destination: Address | None) -> None:
        """Dropped when there is no destination, or the endpoint is closed."""
        self._rtp.send(data, destination)

    def send_rtcp(self, data: bytes, destination: Address | None) -> None:
        self._rtcp.send(data, destination)

    def close(self) -> None:
        """Closes both sockets and releases the pair; closing twice is harmless."""
        if self._open:
            self._open = False
            self._rtp.close()
            self._rtcp.close()
            self._ports.release(self.port)

    async def _bind(self) -> None:
        loop = asyncio.get_running_loop()
        for offset, socket in enumerate((self._rtp, self._rtcp)):
            bound = udp_socket.bound(self.host, self.port + offset)
            await loop.create_datagram_endpoint(partial(_itself, socket), sock=bound)


def _itself(socket: _Socket) -> _Socket:
    return socket
