"""Keys in RTP: RFC 4733."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callfleet_agent.rtp import Digit, MalformedPacket
from callfleet_agent.rtp.dtmf import LOST_END_S, DtmfReceiver, DtmfSender, TelephoneEvent

Packets = list[tuple[int, int, int, bool]]


def event(code: int, duration: int, *, end: bool = False) -> bytes:
    return bytes(TelephoneEvent(code, end, duration))


def heard(packets: Packets, until: float | None = None) -> list[Digit]:
    """(timestamp, code, duration, end), 20 ms apart."""
    receiver, digits = DtmfReceiver(), []
    for index, (timestamp, code, duration, end) in enumerate(packets):
        payload = event(code, duration, end=end)
        digits += receiver.receive(payload, timestamp, index * 0.02)
    if until is not None:
        digits += receiver.expire(until)
    return digits


def key(timestamp: int, code: int, packets: int = 3, ends: int = 3) -> Packets:
    held = [(timestamp, code, 160 * (index + 1), False) for index in range(packets)]
    return held + [(timestamp, code, 160 * (packets + 1), True)] * ends


@given(st.integers(0, 255), st.booleans(), st.integers(0, 65535), st.integers(0, 63))
def test_a_payload_travels_unchanged(code: int, end: bool, duration: int, volume: int) -> None:
    payload = TelephoneEvent(code, end, duration, volume)
    assert TelephoneEvent.parse(bytes(payload)) == payload


def test_the_payload_of_the_standard() -> None:
    assert TelephoneEvent.parse(bytes.fromhex("0b8a0320")) == TelephoneEvent(11, True, 800, 10)


@pytest.mark.parametrize("payload", [b"", b"\x01\x80\x00"])
def test_a_short_payload_is_malformed(payload: bytes) -> None:
    with pytest.raises(MalformedPacket):
        DtmfReceiver().receive(payload, 0, 0.0)


def test_one_key_is_one_digit_with_its_duration() -> None:
    assert heard(key(1000, 5)) == [Digit("5", 80)]


@pytest.mark.parametrize("code", range(16))
def test_every_key(code: int) -> None:
    assert heard(key(0, code))[0].digit == "0123456789*#ABCD"[code]


def test_other_events_are_ignored() -> None:
    assert heard(key(1000, 16) + key(2000, 36), until=9.0) == []


def test_the_same_key_twice_is_two_digits() -> None:
    assert heard(key(1000, 5) + key(3000, 5)) == [Digit("5", 80), Digit("5", 80)]


def test_a_key_whose_beginning_was_lost() -> None:
    assert heard([(1000, 7, 800, True)]) == [Digit("7", 100)]


def test_a_key_whose_ends_were_all_lost_ends_by_time() -> None:
    packets = key(1000, 5, ends=0)
    assert heard(packets, until=0.04 + LOST_END_S - 0.01) == []
    assert heard(packets, until=0.04 + LOST_END_S) == [Digit("5", 60)]


def test_a_key_whose_ends_were_all_lost_ends_with_the_next_key() -> None:
    assert heard(key(1000, 5, ends=0) + key(3000, 6)) == [Digit("5", 60), Digit("6", 80)]


def test_the_same_key_again_after_lost_ends_is_two_digits() -> None:
    assert heard(key(1000, 5, ends=0) + key(3000, 5)) == [Digit("5", 60), Digit("5", 80)]


def test_an_end_after_the_key_ended_by_time_is_not_another_key() -> None:
    receiver = DtmfReceiver()
    receiver.receive(event(5, 160), 1000, 0.0)
    assert receiver.expire(1.0) == [Digit("5", 20)]
    assert receiver.receive(event(5, 320, end=True), 1000, 1.1) == []
    assert receiver.expire(9.0) == []


def test_packets_that_were_overtaken_change_nothing() -> None:
    packets = [
        (1000, 5, 320, False), (1000, 5, 160, False), (1000, 5, 480, True),
        (1000, 5, 320, False), (3000, 6, 160, False), (1000, 5, 480, True), (3000, 6, 320, True),
    ]  # fmt: skip
    assert heard(packets) == [Digit("5", 60), Digit("6", 40)]


def test_timestamps_may_wrap() -> None:
    assert heard(key(2**32 - 100, 5) + key(1500, 6)) == [Digit("5", 80), Digit("6", 80)]


def test_a_key_of_ten_seconds_comes_in_segments_and_is_one_digit() -> None:
    first = [(1000, 5, duration, False) for duration in (60000, 65440, 65535)]
    second = [(1000 + 65535, 5, 160, False), (1000 + 65535, 5, 14465, True)]
    assert heard(first + second) == [Digit("5", 10000)]


def test_a_segment_of_another_key_is_another_key() -> None:
    packets = [(1000, 5, 65535, False), (1000 + 65535, 6, 160, True)]
    assert heard(packets) == [Digit("5", 8191), Digit("6", 20)]


def test_another_stream_ends_the_key() -> None:
    receiver = DtmfReceiver()
    assert receiver.reset() == []
    receiver.receive(event(5, 160), 1000, 0.0)
    assert receiver.reset() == [Digit("5", 20)]
    assert receiver.receive(event(6, 160, end=True), 5, 0.1) == [Digit("6", 20)]


def test_a_repr_shows_no_key() -> None:
    assert "5" not in repr(Digit("5", 55))


# sending


def pressed(digits: str, duration_ms: int = 100) -> list[Digit]:
    sender, receiver, heard_digits = DtmfSender(), DtmfReceiver(), []
    sender.press(digits, duration_ms)
    timestamp = 0
    for tick in range(1000):
        packet = sender.tick()
        if packet is not None:
            heard_digits += receiver.receive(
                packet.payload, timestamp - packet.offset + 10_000, tick * 0.02
            )
        timestamp += 160
    assert not sender.busy
    return heard_digits


def test_what_is_sent_is_received() -> None:
    assert pressed("42*#d") == [Digit(digit, 100) for digit in "42*#D"]
    assert pressed("9", 8000) == [Digit("9", 8000)]


def test_a_key_has_a_marker_growing_durations_three_ends_and_a_pause() -> None:
    sender = DtmfSender()
    sender.press("12", 60)
    assert sender.busy
    packets = [sender.tick() for _ in range(9)]
    events = [TelephoneEvent.parse(packet.payload) for packet in packets if packet]
    assert [packet is not None for packet in packets] == [True] * 5 + [False] * 3 + [True]
    assert [packet.marker for packet in packets if packet] == [True] + [False] * 4 + [True]
    assert [packet.offset for packet in packets if packet] == [0, 160, 320, 480, 640, 0]
    assert [each.duration for each in events] == [160, 320, 480, 480, 480, 160]
    assert [each.end for each in events] == [False, False, True, True, True, False]


def test_a_stall_moves_the_beginning_of_the_key_back() -> None:
    sender = DtmfSender()
    sender.press("1")
    sender.tick()
    sender.skip(2)
    packet = sender.tick()
    assert packet is not None
    assert packet.offset == 480


@pytest.mark.parametrize(("digits", "duration_ms"), [("x", 100), ("1", 39), ("1", 8001)])
def test_what_is_no_key_cannot_be_pressed(digits: str, duration_ms: int) -> None:
    sender = DtmfSender()
    with pytest.raises(ValueError, match="key"):
        sender.press(digits, duration_ms)
    assert not sender.busy
