"""The media of one call on real sockets and the real clock."""

from __future__ import annotations

import time
from collections.abc import Callable

from callfleet_agent.rtp import Address, MediaSession, MediaTick
from callfleet_agent.transport.rtp_port import RtpEndpoint
from callfleet_agent.transport.ticker import Ticker, TickHandle

OnMediaTick = Callable[[MediaTick], None]


class RtpCall:
    """Joins an endpoint, a session and the ticker. `on_tick` is called after the packets of a
    tick were sent; it may push, interrupt and close."""

    def __init__(
        self,
        endpoint: RtpEndpoint,
        session: MediaSession,
        ticker: Ticker,
        *,
        on_tick: OnMediaTick,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.endpoint = endpoint
        self.session = session
        self._ticker = ticker
        self._on_tick = on_tick
        self._clock = clock
        self._handle: TickHandle | None = None

    def start(self) -> None:
        """From now on packets are received and sent."""
        self.endpoint.listen(self._receive_rtp, self._receive_rtcp)
        self._handle = self._ticker.add(self._tick)

    def stop(self) -> None:
        """Says good-bye in RTCP and releases the ports; stopping twice is harmless."""
        if self._handle is None:
            self.endpoint.close()
            return
        self._handle.cancel()
        self._handle = None
        farewell = self.session.bye(self._clock())
        self.endpoint.send_rtcp(farewell, self.session.rtcp_destination)
        self.endpoint.close()

    async def close(self) -> None:
        """As `stop`."""
        self.stop()

    def _receive_rtp(self, data: bytes, source: Address) -> None:
        self.session.receive_rtp(data, source, self._clock())

    def _receive_rtcp(self, data: bytes, source: Address) -> None:
        self.session.receive_rtcp(data, source, self._clock())

    def _tick(self, skipped: int) -> None:
        tick = self.session.tick(self._clock(), skipped)
        for packet in tick.rtp:
            self.endpoint.send_rtp(packet, self.session.rtp_destination)
        if tick.rtcp is not None:
            self.endpoint.send_rtcp(tick.rtcp, self.session.rtcp_destination)
        self._on_tick(tick)
