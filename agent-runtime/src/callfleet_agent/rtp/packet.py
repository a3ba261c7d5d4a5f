"""An RTP packet (RFC 3550, 5.1 and 5.3.1)."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import Final, Self

from callfleet_agent.rtp.errors import MalformedPacket

VERSION: Final = 2
HEADER_BYTES: Final = 12
MAX_CSRCS: Final = 15

_HEADER = struct.Struct("!BBHII")
_EXTENSION = struct.Struct("!HH")


@dataclass(frozen=True, slots=True)
class HeaderExtension:
    """The header extension: what its profile defines, a multiple of four bytes."""

    profile: int
    data: bytes

    def __post_init__(self) -> None:
        if len(self.data) % 4 or len(self.data) > 4 * 0xFFFF:
            raise ValueError("a header extension is 0 to 65535 words of 32 bits")


@dataclass(frozen=True, slots=True)
class RtpPacket:
    """Header fields and payload; `padding` is the number of padding bytes, 0 for none."""

    payload_type: int
    sequence: int
    timestamp: int
    ssrc: int
    payload: bytes = field(repr=False)
    marker: bool = False
    csrcs: tuple[int, ...] = ()
    extension: HeaderExtension | None = None
    padding: int = 0

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Raises MalformedPacket for another version, for lengths that do not fit, and for
        payload types that would be RTCP (RFC 5761, 4)."""
        if len(data) < HEADER_BYTES:
            raise MalformedPacket("shorter than a header")
        first, second, sequence, timestamp, ssrc = _HEADER.unpack_from(data)
        if first >> 6 != VERSION:
            raise MalformedPacket("not version 2")
        payload_type = second & 0x7F
        if 72 <= payload_type <= 76:
            raise MalformedPacket("RTCP where RTP is expected")
        if first == VERSION << 6:  # the usual packet: no padding, extension, or CSRC
            return cls(payload_type, sequence, timestamp, ssrc, data[HEADER_BYTES:], second > 0x7F)
        offset = HEADER_BYTES + 4 * (first & 0x0F)
        if len(data) < offset:
            raise MalformedPacket("shorter than its CSRC list")
        csrcs = struct.unpack_from(f"!{first & 0x0F}I", data, HEADER_BYTES)
        extension = None
        if first & 0x10:
            extension, offset = _parse_extension(data, offset)
        padding = _padding(data, offset) if first & 0x20 else 0
        return cls(
            payload_type=payload_type,
            sequence=sequence,
            timestamp=timestamp,
            ssrc=ssrc,
            payload=data[offset : len(data) - padding],
            marker=second > 0x7F,
            csrcs=csrcs,
            extension=extension,
            padding=padding,
        )

    def __bytes__(self) -> bytes:
        """Raises ValueError for fields out of range."""
        if not (self.csrcs or self.extension or self.padding):
            return pack_packet(
                self.payload_type,
                self.sequence,
                self.timestamp,
                self.ssrc,
                self.payload,
                marker=self.marker,
            )
        if len(self.csrcs) > MAX_CSRCS or not 0 <= self.padding <= 0xFF:
            raise ValueError("too many CSRCs, or too much padding")
        _check_payload_type(self.payload_type)
        first = VERSION << 6 | bool(self.padding) << 5 | bool(self.extension) << 4 | len(self.csrcs)
        second = self.marker << 7 | self.payload_type
        try:
            head = _HEADER.pack(first, second, self.sequence, self.timestamp, self.ssrc)
            csrcs = struct.pack(f"!{len(self.csrcs)}I", *self.csrcs)
        except struct.error as error:
            raise ValueError(str(error)) from error
        extension = b""
        if self.extension is not None:
            data = self.extension.data
            extension = _EXTENSION.pack(self.extension.profile, len(data) // 4) + data
        tail = bytes(self.padding - 1) + bytes((self.padding,)) if self.padding else b""
        return head + csrcs + extension + self.payload + tail


def pack_packet(
    payload_type: int, sequence: int, timestamp: int, ssrc: int, payload: bytes, *, marker: bool
) -> bytes:
    """The bytes of the usual packet, without padding, extension, or CSRC. Raises ValueError."""
    _check_payload_type(payload_type)
    try:
        head = _HEADER.pack(0x80, marker << 7 | payload_type, sequence, timestamp, ssrc)
    except struct.error as error:
        raise ValueError(str(error)) from error
    return head + payload


def _check_payload_type(payload_type: int) -> None:
    if not 0 <= payload_type <= 0x7F:
        raise ValueError("a payload type has 7 bits")


def _parse_extension(data: bytes, offset: int) -> tuple[HeaderExtension, int]:
    start = offset + _EXTENSION.size
    if len(data) < start:
        raise MalformedPacket("shorter than its header extension")
    profile, words = _EXTENSION.unpack_from(data, offset)
    end = start + 4 * words
    if len(data) < end:
        raise MalformedPacket("shorter than its header extension")
    return HeaderExtension(profile, data[start:end]), end


def _padding(data: bytes, offset: int) -> int:
    padding = data[-1]
    if not 1 <= padding <= len(data) - offset:
        raise MalformedPacket("padding longer than the packet")
    return padding
