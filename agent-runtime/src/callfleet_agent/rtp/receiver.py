"""The receiving half of a call's media: from datagrams to frames and keys."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from callfleet_agent.audio import FrameKind
from callfleet_agent.audio.g711 import Law, decode
from callfleet_agent.audio.noise import NoiseFloor
from callfleet_agent.rtp.arithmetic import next_sequence
from callfleet_agent.rtp.dtmf import Digit, DtmfReceiver
from callfleet_agent.rtp.errors import MalformedPacket
from callfleet_agent.rtp.jitter import JitterBuffer, JitterSettings
from callfleet_agent.rtp.latch import Address, SourceLatch
from callfleet_agent.rtp.packet import RtpPacket
from callfleet_agent.rtp.rtcp import RtcpPacket, parse_compound
from callfleet_agent.rtp.statistics import SourceStatistics

MAX_PAYLOAD: Final = 1600  # 200 ms


class MediaReceiver:
    """Drops and counts what is `malformed`, of a stranger (`strangers`), or of a payload type
    that was not negotiated (`unexpected`)."""

    def __init__(self, jitter: JitterSettings, noise: NoiseFloor, now: float) -> None:
        self.latch = SourceLatch()
        self.jitter = JitterBuffer(jitter, noise)
        self.statistics: SourceStatistics | None = None
        self.rtcp_source: Address | None = None
        self.last_heard = now
        self.packets = 0
        self.strangers = 0
        self.malformed = 0
        self.unexpected = 0
        self._laws: Mapping[int, Law] = {}
        self._telephone_event: int | None = None
        self._receiving = True
        self._keys = DtmfReceiver()
        self._digits: list[Digit] = []
        self._candidate: tuple[int, int] | None = None  # another SSRC, and what must follow

    @property
    def ssrc(self) -> int | None:
        return self.statistics.ssrc if self.statistics else None

    def configure(
        self,
        laws: Mapping[int, Law],
        telephone_event: int | None,
        now: float,
        *,
        receiving: bool,
    ) -> None:
        """What may come in. A caller's silence counts from the end of a hold."""
        if receiving and not self._receiving:
            self.last_heard = now
        self._laws, self._telephone_event, self._receiving = laws, telephone_event, receiving

    def receive(self, data: bytes, source: Address, now: float, *, ours: int) -> bool:
        """An RTP datagram. True when its SSRC is ours: a collision, we must choose another."""
        packet = self._valid(data)
        if packet is None:
            return False
        if not self.latch.accepts(source, packet.ssrc, now):
            self.strangers += 1
            return False
        statistics = self._believed(packet)
        if statistics is not None:
            self.last_heard = now
            self.packets += 1
            if self._receiving:
                self._take(packet, statistics, now)
        return packet.ssrc == ours

    def receive_rtcp(self, data: bytes, source: Address, now: float) -> tuple[RtcpPacket, ...]:
        """An RTCP datagram's packets, none when it is malformed or a stranger's.

        The other party's show that it is there even while it sends no sound (a muted phone).
        """
        if self.latch.source is not None and source[0] != self.latch.source[0]:
            self.strangers += 1
            return ()
        try:
            packets = parse_compound(data)
        except MalformedPacket:
            self.malformed += 1
            return ()
        if self.latch.source is not None:
            self.rtcp_source = source
            self.last_heard = now
        return packets

    def forget_rtcp_source(self) -> None:
        self.rtcp_source = None

    def frame(self) -> tuple[FrameKind, bytes]:
        """The frame of this tick."""
        return self.jitter.pop()

    def digits(self, now: float) -> tuple[Digit, ...]:
        """The keys that were released since the last call."""
        self._digits += self._keys.expire(now)
        digits, self._digits = tuple(self._digits), []
        return digits

    def _valid(self, data: bytes) -> RtpPacket | None:
        try:
            packet = RtpPacket.parse(data)
        except MalformedPacket:
            self.malformed += 1
            return None
        if packet.payload_type not in self._laws and packet.payload_type != self._telephone_event:
            self.unexpected += 1
            return None
        if not 0 < len(packet.payload) <= MAX_PAYLOAD:
            self.malformed += 1
            return None
        return packet

    def _believed(self, packet: RtpPacket) -> SourceStatistics | None:
        """The packet's source. None for another SSRC than so far, until two packets of it follow
        each other (RFC 3550, 6.2.1)."""
        known = self.statistics
        if known is None:
            return self._begin(packet)
        if packet.ssrc == known.ssrc:
            return known
        expected, self._candidate = (
            self._candidate,
            (packet.ssrc, next_sequence(packet.sequence)),
        )
        if expected != (packet.ssrc, packet.sequence):
            return None
        return self._begin(packet)

    def _begin(self, packet: RtpPacket) -> SourceStatistics:
        self.statistics = SourceStatistics(packet.ssrc, packet.sequence)
        self.jitter.reset()
        self._digits += self._keys.reset()
        self._candidate = None
        return self.statistics

    def _take(self, packet: RtpPacket, statistics: SourceStatistics, now: float) -> None:
        is_sound = packet.payload_type in self._laws
        if not statistics.update(packet.sequence, packet.timestamp, now, measured=is_sound):
            return
        if not is_sound:
            self._take_event(packet, now)
            return
        self.jitter.push(
            packet.sequence,
            packet.timestamp,
            decode(packet.payload, self._laws[packet.payload_type]).data,
            marker=packet.marker,
            jitter=statistics.jitter,
        )

    def _take_event(self, packet: RtpPacket, now: float) -> None:
        self.jitter.expect_pause()
        try:
            self._digits += self._keys.receive(packet.payload, packet.timestamp, now)
        except MalformedPacket:
            self.malformed += 1
