"""The sender of one RTP stream: a packet each 20 ms, its timestamps those of the clock."""

from __future__ import annotations

from dataclasses import dataclass

from callfleet_agent.audio import FRAME_SAMPLES
from callfleet_agent.rtp.arithmetic import next_sequence, next_timestamp
from callfleet_agent.rtp.packet import pack_packet


@dataclass(slots=True)
class RtpSender:
    """Sequence numbers rise by one for each packet; timestamps by 160 for each tick, sent in or
    not, so that a stall is a gap in time and not a shift of it."""

    ssrc: int
    sequence: int
    timestamp: int
    packets: int = 0
    octets: int = 0
    _marker: bool = True

    def packet(
        self,
        payload_type: int,
        payload: bytes,
        *,
        timestamp: int | None = None,
        marker: bool | None = None,
    ) -> bytes:
        """The next packet. The marker is set on the first after the start, a pause or a switch of
        codec unless it is given; `timestamp` is the current one unless given."""
        data = pack_packet(
            payload_type,
            self.sequence,
            self.timestamp if timestamp is None else timestamp,
            self.ssrc,
            payload,
            marker=self._marker if marker is None else marker,
        )
        if marker is None:
            self._marker = False
        self.sequence = next_sequence(self.sequence)
        self.packets += 1
        self.octets += len(payload)
        return data

    def pause(self) -> None:
        """The next packet begins a talkspurt (RFC 3551, 4.1)."""
        self._marker = True

    def advance(self, ticks: int) -> None:
        """The clock moved by this many ticks."""
        self.timestamp = next_timestamp(self.timestamp, ticks * FRAME_SAMPLES)

    def restart(self, ssrc: int) -> None:
        """Another SSRC after a collision: the counters of RTCP begin again (RFC 3550, 8.2)."""
        self.ssrc, self.packets, self.octets = ssrc, 0, 0
        self._marker = True
