"""The stream that is sent."""

from __future__ import annotations

from callfleet_agent.rtp import RtpPacket
from callfleet_agent.rtp.sender import RtpSender


def sent(sender: RtpSender, payload_type: int = 0) -> RtpPacket:
    packet = RtpPacket.parse(sender.packet(payload_type, bytes(160)))
    sender.advance(1)
    return packet


def test_numbers_go_on_and_the_marker_begins_the_talkspurt() -> None:
    sender = RtpSender(ssrc=3, sequence=65535, timestamp=2**32 - 160)
    packets = [sent(sender) for _ in range(3)]
    assert [packet.sequence for packet in packets] == [65535, 0, 1]
    assert [packet.timestamp for packet in packets] == [2**32 - 160, 0, 160]
    assert [packet.marker for packet in packets] == [True, False, False]
    assert (sender.packets, sender.octets) == (3, 480)


def test_time_passes_without_packets() -> None:
    sender = RtpSender(ssrc=3, sequence=10, timestamp=0)
    sent(sender)
    sender.pause()
    sender.advance(49)
    packet = sent(sender)
    assert (packet.sequence, packet.timestamp, packet.marker) == (11, 8000, True)


def test_events_have_their_own_timestamp_and_marker() -> None:
    sender = RtpSender(ssrc=3, sequence=10, timestamp=800)
    packet = RtpPacket.parse(sender.packet(101, b"1234", timestamp=480, marker=False))
    assert (packet.timestamp, packet.marker, packet.payload_type) == (480, False, 101)
    assert sent(sender).marker is True


def test_after_a_collision_the_counters_begin_again() -> None:
    sender = RtpSender(ssrc=3, sequence=10, timestamp=0)
    sent(sender)
    sender.restart(4)
    packet = sent(sender)
    assert (packet.ssrc, packet.sequence, packet.marker) == (4, 11, True)
    assert (sender.packets, sender.octets) == (1, 160)
