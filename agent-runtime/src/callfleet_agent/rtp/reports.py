"""When RTCP is sent, and what is in it (RFC 3550, 6.2 to 6.4), for a call of two."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from callfleet_agent.audio.randomness import Randomness
from callfleet_agent.rtp.rtcp import (
    Bye,
    ReceiverReport,
    ReportBlock,
    RtcpPacket,
    SenderReport,
    SourceDescription,
    build_compound,
)
from callfleet_agent.rtp.sender import RtpSender
from callfleet_agent.rtp.statistics import SourceStatistics

MIN_INTERVAL_S: Final = 5.0
BANDWIDTH: Final = 0.05 * 8000  # octets a second: 5 % of 64 kbit/s
_COMPENSATION: Final = 2.718281828459045 - 1.5
_MEMBERS = 2
_HEADERS = 28  # IP and UDP count too


def interval_s(rng: Randomness, average_size: float, minimum_s: float) -> float:
    """The time to the next report: at least the minimum, more where reports would take more than
    5 % of the call, spread over half to one and a half times of it (6.3.1)."""
    base = max(minimum_s, _MEMBERS * average_size / BANDWIDTH)
    return base * (rng.random() + 0.5) / _COMPENSATION


def ntp(now: float) -> int:
    """A 64-bit NTP time of our monotonic clock: it tells nobody what time it is here."""
    return int(now * (1 << 32)) & 0xFFFFFFFFFFFFFFFF


def short_ntp(time: int) -> int:
    """The middle 32 bits."""
    return time >> 16 & 0xFFFFFFFF


@dataclass(slots=True)
class RemoteReport:
    """What the other party last said of our stream."""

    fraction_lost: float = 0.0
    lost: int = 0
    jitter_ms: float = 0.0
    rtt_ms: float | None = None


class Reporter:
    """Our side of RTCP. `minimum_s` may be reduced from 5 s where both sides agreed (6.2)."""

    def __init__(
        self, cname: str, *, rng: Randomness, now: float, minimum_s: float = MIN_INTERVAL_S
    ) -> None:
        self.remote = RemoteReport()
        self._cname = cname
        self._rng = rng
        self._minimum = minimum_s
        self._average_size = 100.0
        self._next = now + interval_s(rng, self._average_size, minimum_s / 2)
        self._sent_packets = (0, 0)  # at the last report and the one before
        self._last_sr = 0
        self._last_sr_at = 0.0

    def poll(self, sender: RtpSender, source: SourceStatistics | None, now: float) -> bytes | None:
        """The report that is due, if one is."""
        if now < self._next:
            return None
        report = self._report(sender, source, now)
        data = build_compound((report, SourceDescription(((sender.ssrc, self._cname),))))
        self._average_size += (len(data) + _HEADERS - self._average_size) / 16
        self._next = now + interval_s(self._rng, self._average_size, self._minimum)
        self._sent_packets = (sender.packets, self._sent_packets[0])
        return data

    def bye(self, sender: RtpSender, source: SourceStatistics | None, now: float) -> bytes:
        """Our stream ends."""
        description = SourceDescription(((sender.ssrc, self._cname),))
        return build_compound((self._report(sender, source, now), description, Bye((sender.ssrc,))))

    def receive(
        self, packets: tuple[RtcpPacket, ...], ours: int, theirs: int | None, now: float
    ) -> None:
        """Their reports: the time of their SR, and what they say of our stream."""
        for packet in packets:
            if isinstance(packet, SenderReport) and packet.ssrc == theirs:
                self._last_sr, self._last_sr_at = short_ntp(packet.ntp), now
            if isinstance(packet, SenderReport | ReceiverReport):
                for block in packet.blocks:
                    if block.ssrc == ours:
                        self._learn(block, now)

    def forget_source(self) -> None:
        """Another source: the SR was not its."""
        self._last_sr = 0

    def _learn(self, block: ReportBlock, now: float) -> None:
        self.remote.fraction_lost = block.fraction_lost / 256
        self.remote.lost = block.lost
        self.remote.jitter_ms = block.jitter / 8
        if block.last_sr:
            trip = (short_ntp(ntp(now)) - block.last_sr - block.delay_since_sr) & 0xFFFFFFFF
            if trip < 0x80000000:  # else it answered before it was asked
                self.remote.rtt_ms = trip * 1000 / 65536

    def _report(
        self, sender: RtpSender, source: SourceStatistics | None, now: float
    ) -> SenderReport | ReceiverReport:
        blocks = (self._block(source, now),) if source else ()
        if sender.packets <= self._sent_packets[1]:
            return ReceiverReport(sender.ssrc, blocks)
        return SenderReport(
            sender.ssrc, ntp(now), sender.timestamp, sender.packets, sender.octets, blocks
        )

    def _block(self, source: SourceStatistics, now: float) -> ReportBlock:
        delay = int((now - self._last_sr_at) * 65536) if self._last_sr else 0
        return ReportBlock(
            ssrc=source.ssrc,
            fraction_lost=source.fraction_lost(),
            lost=source.lost,
            highest_sequence=source.highest_sequence,
            jitter=int(source.jitter),
            last_sr=self._last_sr,
            delay_since_sr=min(delay, 0xFFFFFFFF),
        )
