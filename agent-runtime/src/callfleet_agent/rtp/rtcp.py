"""RTCP packets: SR, RR, SDES, BYE, and compounds of them (RFC 3550, 6)."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from callfleet_agent.rtp.errors import MalformedPacket

SR: Final = 200
RR: Final = 201
SDES: Final = 202
BYE: Final = 203
CNAME: Final = 1
MAX_COUNT: Final = 31

_HEADER = struct.Struct("!BBH")
_SENDER = struct.Struct("!IQIII")
_BLOCK = struct.Struct("!IIIIII")


@dataclass(frozen=True, slots=True)
class ReportBlock:
    """What a receiver says of one source. `fraction_lost` is of 256; `jitter` in timestamp units;
    `last_sr` the middle 32 bits of an SR's NTP time; `delay_since_sr` in 1/65536 s."""

    ssrc: int
    fraction_lost: int
    lost: int
    highest_sequence: int
    jitter: int
    last_sr: int = 0
    delay_since_sr: int = 0

    def __bytes__(self) -> bytes:
        lost = max(-0x800000, min(0x7FFFFF, self.lost)) & 0xFFFFFF
        return _BLOCK.pack(
            self.ssrc,
            self.fraction_lost << 24 | lost,
            self.highest_sequence & 0xFFFFFFFF,
            self.jitter,
            self.last_sr,
            self.delay_since_sr,
        )


@dataclass(frozen=True, slots=True)
class SenderReport:
    """`ntp` is the 64-bit time of `rtp_timestamp`; any clock will do (6.4.1)."""

    ssrc: int
    ntp: int
    rtp_timestamp: int
    packets: int
    octets: int
    blocks: tuple[ReportBlock, ...] = ()

    def __bytes__(self) -> bytes:
        body = _SENDER.pack(
            self.ssrc,
            self.ntp,
            self.rtp_timestamp,
            self.packets & 0xFFFFFFFF,
            self.octets & 0xFFFFFFFF,
        )
        return _packet(SR, len(self.blocks), body + b"".join(map(bytes, self.blocks)))


@dataclass(frozen=True, slots=True)
class ReceiverReport:
    """From one who sent nothing since the last report but one."""

    ssrc: int
    blocks: tuple[ReportBlock, ...] = ()

    def __bytes__(self) -> bytes:
        body = struct.pack("!I", self.ssrc) + b"".join(map(bytes, self.blocks))
        return _packet(RR, len(self.blocks), body)


@dataclass(frozen=True, slots=True)
class SourceDescription:
    """The CNAMEs of sources; other items are read over."""

    cnames: tuple[tuple[int, str], ...] = field(repr=False)

    def __bytes__(self) -> bytes:
        return _packet(SDES, len(self.cnames), b"".join(_chunk(*each) for each in self.cnames))


@dataclass(frozen=True, slots=True)
class Bye:
    """These sources leave."""

    ssrcs: tuple[int, ...]
    reason: str = ""

    def __bytes__(self) -> bytes:
        body = struct.pack(f"!{len(self.ssrcs)}I", *self.ssrcs)
        if self.reason:
            text = self.reason.encode()
            body += _padded(bytes((len(text),)) + text)
        return _packet(BYE, len(self.ssrcs), body)


RtcpPacket = SenderReport | ReceiverReport | SourceDescription | Bye


def build_compound(packets: Sequence[RtcpPacket]) -> bytes:
    """A compound: a report first (6.1). Raises ValueError for another first packet."""
    if not packets or not isinstance(packets[0], SenderReport | ReceiverReport):
        raise ValueError("a compound begins with a report")
    return b"".join(map(bytes, packets))


def parse_compound(data: bytes) -> tuple[RtcpPacket, ...]:
    """The packets of a compound, those of unknown types left out. Raises MalformedPacket as the
    checks of RFC 3550, A.2 say, and for bodies shorter than their counts."""
    packets: list[RtcpPacket] = []
    for position, (kind, count, body) in enumerate(_split(data)):
        if position == 0 and kind not in (SR, RR):
            raise MalformedPacket("a compound begins with a report")
        try:
            packet = _parse(kind, count, body)
        except (struct.error, IndexError) as error:
            raise MalformedPacket("shorter than its count") from error
        if packet is not None:
            packets.append(packet)
    if not packets:
        raise MalformedPacket("no RTCP")
    return tuple(packets)


def _split(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    offset = 0
    while offset < len(data):
        if len(data) - offset < _HEADER.size:
            raise MalformedPacket("shorter than a header")
        first, kind, words = _HEADER.unpack_from(data, offset)
        end = offset + 4 * (words + 1)
        if first >> 6 != 2 or end > len(data):
            raise MalformedPacket("not version 2, or longer than the datagram")
        padding = 0
        if first & 0x20:
            padding = data[end - 1]
            if end != len(data) or not 4 <= padding <= end - offset - _HEADER.size:
                raise MalformedPacket("padding before the last packet, or too much")
        yield kind, first & 0x1F, data[offset + _HEADER.size : end - padding]
        offset = end


def _parse(kind: int, count: int, body: bytes) -> RtcpPacket | None:
    match kind:
        case 200:
            ssrc, ntp, timestamp, packets, octets = _SENDER.unpack_from(body)
            blocks = _blocks(body, _SENDER.size, count)
            return SenderReport(ssrc, ntp, timestamp, packets, octets, blocks)
        case 201:
            (ssrc,) = struct.unpack_from("!I", body)
            return ReceiverReport(ssrc, _blocks(body, 4, count))
        case 202:
            return SourceDescription(_cnames(body, count))
        case 203:
            ssrcs = struct.unpack_from(f"!{count}I", body)
            return Bye(ssrcs, _reason(body[4 * count :]))
    return None


def _blocks(body: bytes, offset: int, count: int) -> tuple[ReportBlock, ...]:
    blocks = []
    for index in range(count):
        ssrc, loss, highest, jitter, last_sr, delay = _BLOCK.unpack_from(
            body, offset + _BLOCK.size * index
        )
        lost = (loss & 0xFFFFFF) - ((loss & 0x800000) << 1)
        blocks.append(ReportBlock(ssrc, loss >> 24, lost, highest, jitter, last_sr, delay))
    return tuple(blocks)


def _cnames(body: bytes, count: int) -> tuple[tuple[int, str], ...]:
    cnames = []
    offset = 0
    for _ in range(count):
        (ssrc,) = struct.unpack_from("!I", body, offset)
        offset += 4
        while (item := body[offset]) != 0:
            end = offset + 2 + body[offset + 1]
            if end >= len(body):
                raise MalformedPacket("a source's items do not end")
            if item == CNAME:
                cnames.append((ssrc, body[offset + 2 : end].decode(errors="replace")))
            offset = end
        offset += 4 - offset % 4
    return tuple(cnames)


def _reason(rest: bytes) -> str:
    if not rest:
        return ""
    if rest[0] >= len(rest):
        raise MalformedPacket("shorter than its reason")
    return rest[1 : 1 + rest[0]].decode(errors="replace")


def _chunk(ssrc: int, cname: str) -> bytes:
    text = cname.encode()
    if len(text) > 0xFF:
        raise ValueError("a CNAME has at most 255 bytes")
    # At least one null byte ends the items, up to the next 32-bit boundary.
    return struct.pack("!I", ssrc) + _padded(bytes((CNAME, len(text))) + text + b"\0")


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)


def _packet(kind: int, count: int, body: bytes) -> bytes:
    if count > MAX_COUNT:
        raise ValueError(f"at most {MAX_COUNT} in one packet")
    return _HEADER.pack(2 << 6 | count, kind, len(body) // 4) + body
