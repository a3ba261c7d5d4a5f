"""The media of one call: what a connector and a phone rely on."""

from __future__ import annotations

import random
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from callfleet_agent.audio import FrameKind, Pcm8k
from callfleet_agent.audio.g711 import Law, decode, encode
from callfleet_agent.audio.level import dbfs
from callfleet_agent.rtp import (
    Digit,
    Format,
    MediaSession,
    MediaSettings,
    MediaTick,
    RtpPacket,
)
from callfleet_agent.rtp.dtmf import TelephoneEvent
from callfleet_agent.rtp.rtcp import (
    Bye,
    ReceiverReport,
    SenderReport,
    SourceDescription,
    build_compound,
    parse_compound,
)

CALLER = ("198.51.100.7", 31000)
STRANGER = ("203.0.113.9", 9)
SIGNALLED = ("192.0.2.1", 4000)
PCMU, PCMA = Format(0, Law.PCMU), Format(8, Law.PCMA)
SETTINGS = MediaSettings(formats=(PCMU, PCMA), telephone_event=101, remote=SIGNALLED, cname="pod")
TONE = Pcm8k.from_samples(6000 * np.sin(2 * np.pi * 200 * np.arange(8000) / 8000))


class Call:
    """A session, its clock, and a caller who sends 20 ms of a tone in each tick."""

    def __init__(self, settings: MediaSettings = SETTINGS) -> None:
        self.now = 100.0
        self.session = MediaSession(settings, rng=random.Random(3), now=self.now)
        self.sequence = 65530
        self.timestamp = 2**32 - 800
        self.ssrc = 77

    def send(
        self,
        payload: bytes | None = None,
        payload_type: int = 0,
        source: tuple[str, int] = CALLER,
        **changes: object,
    ) -> None:
        """The caller's next packet."""
        law = Law.PCMA if payload_type == 8 else Law.PCMU
        packet = RtpPacket(
            payload_type=payload_type,
            sequence=self.sequence,
            timestamp=self.timestamp,
            ssrc=self.ssrc,
            payload=encode(TONE.slice(0, 160), law) if payload is None else payload,
        )
        self.session.receive_rtp(bytes(replace(packet, **changes)), source, self.now)  # type: ignore[arg-type]
        self.sequence = (self.sequence + 1) % 65536
        self.timestamp = (self.timestamp + 160) % 2**32

    def tick(self, skipped: int = 0) -> MediaTick:
        self.now += 0.02 * (1 + skipped)
        return self.session.tick(self.now, skipped)

    def talk(self, ticks: int, **how: int) -> list[MediaTick]:
        """The caller talks for so many ticks."""
        heard = []
        for _ in range(ticks):
            self.send(**how)  # type: ignore[arg-type]
            heard.append(self.tick())
        return heard


def rtp(tick: MediaTick) -> RtpPacket:
    (data,) = tick.rtp
    return RtpPacket.parse(data)


# receiving


def test_what_the_caller_says_comes_out_in_frames() -> None:
    call = Call()
    ticks = call.talk(10)
    assert [tick.kind for tick in ticks] == [FrameKind.NOISE] + [FrameKind.REAL] * 9
    expected = decode(encode(TONE.slice(0, 160), Law.PCMU), Law.PCMU)
    assert ticks[5].inbound == expected
    assert [tick.inbound_position for tick in ticks] == list(range(0, 1600, 160))


def test_the_caller_may_switch_between_the_negotiated_laws() -> None:
    call = Call()
    call.talk(3)
    ticks = call.talk(3, payload_type=8)
    expected = decode(encode(TONE.slice(0, 160), Law.PCMA), Law.PCMA)
    assert ticks[-1].inbound == expected


def test_what_was_not_negotiated_is_dropped_and_counted() -> None:
    call = Call()
    call.send(payload_type=18)
    call.send(payload_type=13)
    assert call.session.stats(call.now).unexpected == 2
    assert call.session.rtp_destination == SIGNALLED


@pytest.mark.parametrize("data", [b"", b"hello", bytes(12), bytes(200)])
def test_what_is_malformed_is_dropped_and_counted(data: bytes) -> None:
    call = Call()
    call.session.receive_rtp(data, CALLER, call.now)
    assert call.session.stats(call.now).malformed == 1


@pytest.mark.parametrize("payload", [b"", bytes(1601)])
def test_payloads_that_are_no_frames_are_malformed(payload: bytes) -> None:
    call = Call()
    call.send(payload)
    assert call.session.stats(call.now).malformed == 1


def test_a_stranger_is_dropped_and_counted() -> None:
    call = Call()
    call.talk(5)
    call.send(source=STRANGER)
    stats = call.session.stats(call.now)
    assert (stats.strangers, stats.packets_received) == (1, 5)
    assert call.session.rtp_destination == CALLER


def test_another_ssrc_is_believed_after_two_packets() -> None:
    call = Call()
    call.talk(5)
    call.ssrc, call.sequence, call.timestamp = 78, 100, 5
    call.send()
    assert call.session.stats(call.now).packets_received == 5
    call.send()
    assert call.session.stats(call.now).packets_received == 6
    call.sequence += 7
    call.ssrc = 79
    call.send()
    call.ssrc = 78
    call.send()
    assert [tick.kind for tick in call.talk(5)][-1] is FrameKind.REAL


def test_wild_sequence_numbers_are_not_played() -> None:
    call = Call()
    call.talk(5)
    call.send(sequence=30000)
    assert call.session.stats(call.now).lost == 0
    assert call.tick().kind is FrameKind.REAL
    assert call.tick().kind is FrameKind.CONCEALED


def test_an_ssrc_like_ours_makes_us_choose_another() -> None:
    call = Call()
    ours = rtp(call.tick()).ssrc
    call.ssrc = ours
    call.send()
    after = rtp(call.tick())
    assert after.ssrc != ours
    assert after.marker


def test_on_hold_nothing_is_heard() -> None:
    call = Call(replace(SETTINGS, receiving=False))
    assert {tick.kind for tick in call.talk(10)} == {FrameKind.NOISE}
    assert call.session.silent_for(call.now) == pytest.approx(0.02)


def test_silence_is_measured_from_the_last_valid_packet() -> None:
    call = Call()
    call.now += 3.0
    assert call.session.silent_for(call.now) == pytest.approx(3.0)
    call.send()
    call.now += 1.0
    call.session.receive_rtp(b"rubbish", CALLER, call.now)
    assert call.session.stats(call.now).silent_s == pytest.approx(1.0)


def test_a_hold_of_any_length_is_no_silence() -> None:
    call = Call()
    call.send()
    call.session.renegotiate(replace(SETTINGS, receiving=False), call.now)
    call.now += 600.0
    call.session.renegotiate(SETTINGS, call.now)
    assert call.session.silent_for(call.now) == pytest.approx(0.0)


def test_the_callers_rtcp_shows_that_a_muted_phone_is_there() -> None:
    call = Call()
    call.send()
    call.now += 25.0
    report = build_compound((ReceiverReport(call.ssrc), SourceDescription(((call.ssrc, "phone"),))))
    call.session.receive_rtcp(report, STRANGER, call.now)
    assert call.session.silent_for(call.now) == pytest.approx(25.0)
    call.session.receive_rtcp(report, (CALLER[0], CALLER[1] + 1), call.now)
    assert call.session.silent_for(call.now) == pytest.approx(0.0)


# keys


def press(call: Call, code: int, *, packets: int = 4, ends: int = 3) -> list[Digit]:
    digits: list[Digit] = []
    start = call.timestamp
    for number in range(packets + ends):
        duration = 160 * min(number + 1, packets)
        payload = bytes(TelephoneEvent(code, number >= packets, duration))
        call.send(payload, payload_type=101, timestamp=start)
        digits += call.tick().digits
    return digits


def test_a_key_is_reported_once_and_its_sound_is_a_pause() -> None:
    call = Call()
    call.talk(5)
    assert press(call, 4) == [Digit("4", 80)]
    assert call.tick().kind is FrameKind.NOISE


def test_a_key_whose_end_is_lost_is_reported_by_time() -> None:
    call = Call()
    assert press(call, 4, ends=0) == []
    digits = [digit for _ in range(10) for digit in call.tick().digits]
    assert digits == [Digit("4", 80)]


def test_a_malformed_event_is_counted() -> None:
    call = Call()
    call.send(b"\x01", payload_type=101)
    assert call.session.stats(call.now).malformed == 1


def test_a_key_that_is_down_when_the_stream_changes_has_ended() -> None:
    call = Call()
    call.talk(1)
    press(call, 4, ends=0)
    call.ssrc = 99
    call.send()
    call.send()
    assert call.tick().digits == (Digit("4", 80),)


def test_keys_are_sent_as_events_and_speech_waits() -> None:
    call = Call()
    call.session.push(0, 0, TONE)
    first = rtp(call.tick())
    call.session.send_digits("4", 60)
    packets, sending = [], []
    for _ in range(5):
        sending.append(call.session.sending_digits)
        packets.append(rtp(call.tick()))
    assert [*sending, call.session.sending_digits] == [True] * 5 + [False]
    assert {packet.payload_type for packet in packets} == {101}
    assert {packet.timestamp for packet in packets} == {(first.timestamp + 160) % 2**32}
    assert [packet.sequence - first.sequence for packet in packets] == [1, 2, 3, 4, 5]
    assert [packet.marker for packet in packets] == [True] + [False] * 4
    speech = call.tick()
    assert rtp(speech).timestamp == (first.timestamp + 960) % 2**32
    assert speech.played_position == 320


def test_without_telephone_events_no_key_can_be_sent() -> None:
    call = Call(replace(SETTINGS, telephone_event=None))
    with pytest.raises(ValueError, match="not negotiated"):
        call.session.send_digits("4")


# playing


def test_one_packet_each_tick_of_speech_or_the_noise_floor() -> None:
    call = Call()
    call.session.push(0, 0, TONE.slice(0, 400))
    ticks = [call.tick() for _ in range(5)]
    packets = [rtp(tick) for tick in ticks]
    assert [packet.marker for packet in packets] == [True] + [False] * 4
    assert {len(packet.payload) for packet in packets} == {160}
    steps = {(b.timestamp - a.timestamp) % 2**32 for a, b in pairwise(packets)}
    assert steps == {160}
    assert [tick.played_position for tick in ticks] == [160, 320, 400, 400, 400]
    assert [tick.credit_position for tick in ticks] == [1760, 1920, 2000, 2000, 2000]
    assert ticks[0].reference == TONE.slice(0, 160)
    assert dbfs(ticks[4].reference) == pytest.approx(-60, abs=3)
    assert packets[4].payload == encode(ticks[4].reference, Law.PCMU)
    assert call.session.stats(call.now).underruns == 1


def test_the_end_of_speech_is_told_when_it_was_played() -> None:
    call = Call()
    call.session.push(0, 0, TONE.slice(0, 200))
    call.session.end_of_speech(0, 200)
    assert [call.tick().finished for _ in range(3)] == [(), ((0, 200),), ()]
    assert call.session.has_played(0, 200)


def test_an_interruption_is_heard_at_once() -> None:
    call = Call()
    call.session.push(0, 0, TONE)
    call.tick()
    assert call.session.interrupt(1) == (0, 160)
    tick = call.tick()
    assert dbfs(tick.reference) == pytest.approx(-60, abs=3)
    assert (tick.epoch, tick.played_epoch, tick.played_position) == (1, 1, 0)
    assert tick.credit_position == 1600
    assert call.session.push(0, 8000, TONE) is False
    assert call.session.epoch == 1


def test_after_a_stall_time_goes_on_and_packets_are_not_caught_up() -> None:
    call = Call()
    first = call.tick()
    call.session.send_digits("1")
    call.tick()
    later = call.tick(skipped=4)
    assert (rtp(later).sequence - rtp(first).sequence) % 65536 == 2
    assert later.inbound_position == 160 * 6
    assert rtp(later).timestamp == (rtp(first).timestamp + 160) % 2**32  # of the key
    assert call.session.stats(call.now).skipped_ticks == 4
    assert call.session.inbound_position == 160 * 7


def test_on_hold_nothing_is_played_and_positions_stand_still() -> None:
    call = Call(replace(SETTINGS, sending=False))
    call.session.push(0, 0, TONE)
    tick = call.tick()
    assert (tick.rtp, tick.played_position) == ((), 0)
    assert tick.reference == Pcm8k.silence(160)
    call.session.renegotiate(SETTINGS, call.now)
    resumed = rtp(call.tick())
    assert resumed.marker


# addresses


@pytest.mark.parametrize("remote", [None, ("0.0.0.0", 4000), ("192.0.2.1", 0), ("::", 4000)])
def test_without_an_address_nothing_has_a_destination(remote: tuple[str, int] | None) -> None:
    call = Call(replace(SETTINGS, remote=remote))
    assert call.session.rtp_destination is None
    assert call.session.rtcp_destination is None


def test_rtcp_goes_where_it_was_signalled_or_one_port_above() -> None:
    assert Call().session.rtcp_destination == ("192.0.2.1", 4001)
    call = Call(replace(SETTINGS, remote_rtcp=("192.0.2.2", 9)))
    assert call.session.rtcp_destination == ("192.0.2.2", 9)
    call.send()
    assert call.session.rtcp_destination == ("198.51.100.7", 31001)


RR = build_compound((ReceiverReport(77),))


def test_rtcp_goes_to_where_it_comes_from() -> None:
    call = Call()
    call.session.receive_rtcp(RR, ("198.51.100.7", 555), call.now)
    assert call.session.rtcp_destination == ("192.0.2.1", 4001)
    call.send()
    call.session.receive_rtcp(RR, ("198.51.100.7", 555), call.now)
    assert call.session.rtcp_destination == ("198.51.100.7", 555)
    call.session.receive_rtcp(RR, STRANGER, call.now)
    call.session.receive_rtcp(b"rubbish", ("198.51.100.7", 555), call.now)
    stats = call.session.stats(call.now)
    assert (stats.strangers, stats.malformed) == (1, 1)


def test_a_re_offer_with_another_address_is_followed() -> None:
    call = Call()
    call.send()
    call.session.receive_rtcp(RR, ("198.51.100.7", 555), call.now)
    moved = ("192.0.2.99", 6000)
    call.session.renegotiate(replace(SETTINGS, formats=(PCMA, PCMU), remote=moved), call.now)
    packet = rtp(call.tick())
    assert (packet.payload_type, packet.marker) == (8, True)
    call.send(source=moved)
    assert call.session.rtp_destination == moved
    assert call.session.rtcp_destination == ("192.0.2.99", 6001)
    call.send(source=CALLER)
    assert call.session.stats(call.now).strangers == 1


def test_a_re_offer_that_changes_nothing_keeps_everything() -> None:
    call = Call()
    call.tick()
    call.send()
    call.session.receive_rtcp(RR, ("198.51.100.7", 555), call.now)
    call.session.renegotiate(SETTINGS, call.now)
    assert not rtp(call.tick()).marker
    assert call.session.rtcp_destination == ("198.51.100.7", 555)


def test_a_call_needs_a_format() -> None:
    with pytest.raises(ValueError, match="format"):
        MediaSettings(formats=())


# reports


def test_two_sessions_report_to_each_other() -> None:
    ours, theirs = Call(), Call(replace(SETTINGS, cname="phone"))
    theirs.session._sender.ssrc = 4711
    sent: list[bytes] = []
    for number in range(1000):
        for here, there, address in ((ours, theirs, SIGNALLED), (theirs, ours, CALLER)):
            tick = here.tick()
            for data in tick.rtp:
                if number % 10 or here is ours:
                    there.session.receive_rtp(data, address, here.now)
            if tick.rtcp is not None:
                sent.append(tick.rtcp)
                there.session.receive_rtcp(tick.rtcp, (address[0], address[1] + 1), here.now)
    kinds = [tuple(type(packet) for packet in parse_compound(data)) for data in sent]
    assert set(kinds) == {(SenderReport, SourceDescription)}
    assert 6 <= len(kinds) <= 14
    ours_stats, theirs_stats = ours.session.stats(ours.now), theirs.session.stats(theirs.now)
    assert ours_stats.loss_fraction == pytest.approx(0.1, abs=0.01)
    assert theirs_stats.remote_loss_fraction == pytest.approx(0.1, abs=0.02)
    assert ours_stats.rtt_ms == pytest.approx(0, abs=25)
    assert ours_stats.packets_sent == 1000


def test_the_farewell_says_bye() -> None:
    call = Call()
    call.send()
    ours = rtp(call.tick()).ssrc
    packets = parse_compound(call.session.bye(call.now))
    assert packets[-1] == Bye((ours,))


def test_before_anything_arrives_the_figures_are_zero() -> None:
    stats = Call().session.stats(100.0)
    assert (stats.lost, stats.loss_fraction, stats.jitter_ms, stats.rtt_ms) == (0, 0.0, 0.0, None)
