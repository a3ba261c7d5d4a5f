"""Both ends of a call's media, in packets that are counted."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from callfleet_agent.rtp import RtpPacket
from fakes.sip_pods import Address

LOOPBACK = "127.0.0.1"
PACKET_S = 0.02
_SAMPLES = 160


@dataclass
class MediaEnd(asyncio.DatagramProtocol):
    """A socket that sends and receives RTP; `ssrc` tells its packets from the other end's."""

    ssrc: int
    received: list[tuple[RtpPacket, Address]] = field(default_factory=list)
    _came: asyncio.Event = field(default_factory=asyncio.Event)
    _transport: asyncio.DatagramTransport | None = None

    @property
    def port(self) -> int:
        assert self._transport is not None
        return int(self._transport.get_extra_info("sockname")[1])

    def datagram_received(self, data: bytes, addr: Address) -> None:
        self.received.append((RtpPacket.parse(data), addr))
        self._came.set()

    async def open(self) -> None:
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_datagram_endpoint(
            lambda: self, local_addr=(LOOPBACK, 0)
        )

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def packet(self, number: int) -> RtpPacket:
        """The packet with this number, which is in its payload, too."""
        payload = number.to_bytes(2) + bytes([self.ssrc % 256]) * (_SAMPLES - 2)
        return RtpPacket(0, number, number * _SAMPLES, self.ssrc, payload, marker=number == 0)

    async def send(self, count: int, port: int) -> None:
        """Packets to a port of loopback, as far apart as those of a call."""
        assert self._transport is not None
        for number in range(count):
            self._transport.sendto(bytes(self.packet(number)), (LOOPBACK, port))
            await asyncio.sleep(PACKET_S)

    async def got(self, count: int, limit_s: float = 60.0) -> None:
        """Until so many packets have come, or for so long."""
        with suppress(TimeoutError):
            async with asyncio.timeout(limit_s):
                while len(self.received) < count:
                    self._came.clear()
                    await self._came.wait()


@asynccontextmanager
async def media_ends() -> AsyncIterator[tuple[MediaEnd, MediaEnd]]:
    """The caller's end and the agent's, on free ports."""
    ends = MediaEnd(0x1111), MediaEnd(0x2222)
    try:
        for end in ends:
            await end.open()
        yield ends
    finally:
        for end in ends:
            end.close()


def audio_port(description: str) -> int:
    """The port of a session description's audio."""
    found = re.search(r"^m=audio (\d+) ", description, re.MULTILINE)
    assert found is not None
    return int(found[1])
