"""RTP packets: RFC 3550, 5.1 and 5.3.1."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callfleet_agent.rtp import MalformedPacket, RtpPacket
from callfleet_agent.rtp.packet import HeaderExtension

u32 = st.integers(0, 2**32 - 1)
PACKETS = st.builds(
    RtpPacket,
    payload_type=st.integers(0, 127).filter(lambda number: not 72 <= number <= 76),
    sequence=st.integers(0, 65535),
    timestamp=u32,
    ssrc=u32,
    payload=st.binary(max_size=200),
    marker=st.booleans(),
    csrcs=st.lists(u32, max_size=15).map(tuple),
    extension=st.none()
    | st.builds(
        HeaderExtension,
        profile=st.integers(0, 65535),
        data=st.binary(max_size=10).map(lambda data: data * 4),
    ),
    padding=st.integers(0, 255),
)


@given(PACKETS)
def test_a_packet_travels_unchanged(packet: RtpPacket) -> None:
    assert RtpPacket.parse(bytes(packet)) == packet


@given(st.binary(max_size=100))
def test_any_datagram_is_a_packet_or_malformed(data: bytes) -> None:
    try:
        packet = RtpPacket.parse(data)
    except MalformedPacket:
        return
    assert RtpPacket.parse(bytes(packet)) == packet


def test_the_fields_stand_where_the_standard_puts_them() -> None:
    data = bytes.fromhex("80 80 1234 000003e8 deadbeef ff7f")
    assert RtpPacket.parse(data) == RtpPacket(
        payload_type=0,
        sequence=0x1234,
        timestamp=1000,
        ssrc=0xDEADBEEF,
        payload=b"\xff\x7f",
        marker=True,
    )


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("80 00 0001 00000000 000000", "header"),
        ("40 00 0001 00000000 00000001", "version"),
        ("81 00 0001 00000000 00000001", "CSRC"),
        ("90 00 0001 00000000 00000001 0000", "extension"),
        ("90 00 0001 00000000 00000001 0000 0001", "extension"),
        ("a0 00 0001 00000000 00000001", "padding"),
        ("a0 00 0001 00000000 00000001 00", "padding"),
        ("a0 00 0001 00000000 00000001 02", "padding"),
        ("80 c8 0001 00000000 00000001", "RTCP"),
    ],
)
def test_a_malformed_packet_is_refused(data: str, message: str) -> None:
    with pytest.raises(MalformedPacket, match=message):
        RtpPacket.parse(bytes.fromhex(data))


@pytest.mark.parametrize(
    "changes",
    [
        {"payload_type": 128},
        {"payload_type": -1},
        {"sequence": 65536},
        {"timestamp": -1},
        {"ssrc": 2**32},
        {"csrcs": (0,) * 16},
        {"csrcs": (2**32,)},
        {"padding": 256},
    ],
)
def test_fields_out_of_range_cannot_be_sent(changes: dict[str, object]) -> None:
    fields: dict[str, object] = {
        "payload_type": 0, "sequence": 0, "timestamp": 0, "ssrc": 0, "payload": b"",
    }  # fmt: skip
    with pytest.raises(ValueError, match=r"."):
        bytes(RtpPacket(**(fields | changes)))  # type: ignore[arg-type]


@pytest.mark.parametrize("length", [1, 2, 3, 4 * 65536])
def test_an_extension_is_whole_words(length: int) -> None:
    with pytest.raises(ValueError, match="words"):
        HeaderExtension(1, bytes(length))
