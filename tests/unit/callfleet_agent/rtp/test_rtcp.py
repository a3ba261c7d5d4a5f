"""RTCP packets: RFC 3550, 6.4 to 6.6 and A.2."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callfleet_agent.rtp import MalformedPacket
from callfleet_agent.rtp.rtcp import (
    Bye,
    ReceiverReport,
    ReportBlock,
    RtcpPacket,
    SenderReport,
    SourceDescription,
    build_compound,
    parse_compound,
)

u32 = st.integers(0, 2**32 - 1)
text = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
blocks = st.lists(
    st.builds(
        ReportBlock,
        ssrc=u32,
        fraction_lost=st.integers(0, 255),
        lost=st.integers(-(2**23), 2**23 - 1),
        highest_sequence=u32,
        jitter=u32,
        last_sr=u32,
        delay_since_sr=u32,
    ),
    max_size=3,
).map(tuple)
reports = st.one_of(
    st.builds(
        SenderReport,
        ssrc=u32,
        ntp=st.integers(0, 2**64 - 1),
        rtp_timestamp=u32,
        packets=u32,
        octets=u32,
        blocks=blocks,
    ),
    st.builds(ReceiverReport, ssrc=u32, blocks=blocks),
)
others = st.lists(
    st.builds(SourceDescription, cnames=st.lists(st.tuples(u32, text), max_size=3).map(tuple))
    | st.builds(Bye, ssrcs=st.lists(u32, max_size=3).map(tuple), reason=text),
    max_size=3,
)


@given(reports, others)
def test_a_compound_travels_unchanged(first: RtcpPacket, rest: list[RtcpPacket]) -> None:
    compound = (first, *rest)
    data = build_compound(compound)
    assert len(data) % 4 == 0
    assert parse_compound(data) == compound


@given(st.binary(max_size=120))
def test_any_datagram_is_a_compound_or_malformed(data: bytes) -> None:
    try:
        packets = parse_compound(data)
    except MalformedPacket:
        return
    assert packets


RR = "80 c9 0001 00000005"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("", "no RTCP"),
        ("80 c9", "header"),
        ("40 c9 0001 00000005", "version"),
        ("80 c9 0002 00000005", "longer"),
        ("81 c9 0001 00000005", "count"),
        ("80 c8 0001 00000005", "count"),
        ("81 ca 0002 00000005 00000000", "begins with a report"),
        (RR + "81 cb 0000", "count"),
        (RR + "80 cb 0001 05414141", "reason"),
        (RR + "81 ca 0002 00000005 01ff4141", "items"),
        (RR + "81 ca 0002 00000005 01024141", "items"),
        (RR + "81 ca 0001 00000005", "count"),
        ("a0 c9 0002 00000005 00000004" + RR, "padding"),
        (RR + "a0 cb 0001 00000003", "padding"),
        (RR + "a0 cb 0001 00000008", "padding"),
    ],
)
def test_a_malformed_compound_is_refused(data: str, message: str) -> None:
    with pytest.raises(MalformedPacket, match=message):
        parse_compound(bytes.fromhex(data))


def test_padding_of_the_last_packet_is_cut_off() -> None:
    data = bytes.fromhex(RR + "a1 cb 0002 00000005 00000004")
    assert parse_compound(data) == (ReceiverReport(5), Bye((5,)))


def test_other_items_and_unknown_packets_are_read_over() -> None:
    data = bytes.fromhex(RR + "81 ca 0003 00000009 02 01 41 01 01 42 00 00" + "80 cc 0000")
    assert parse_compound(data) == (ReceiverReport(5), SourceDescription(((9, "B"),)))


def test_a_compound_begins_with_a_report() -> None:
    for packets in ((), (Bye((1,)),)):
        with pytest.raises(ValueError, match="report"):
            build_compound(packets)


def test_what_does_not_fit_cannot_be_sent() -> None:
    with pytest.raises(ValueError, match="255"):
        bytes(SourceDescription(((1, "x" * 256),)))
    with pytest.raises(ValueError, match="31"):
        bytes(Bye(tuple(range(32))))


def test_a_loss_beyond_24_bits_is_limited() -> None:
    block = ReportBlock(1, 0, 2**24, 0, 0)
    (report,) = parse_compound(bytes(ReceiverReport(2, (block,))))
    assert isinstance(report, ReceiverReport)
    assert report.blocks[0].lost == 2**23 - 1


def test_a_repr_shows_no_name() -> None:
    assert "alice" not in repr(SourceDescription(((1, "alice@example.net"),)))
