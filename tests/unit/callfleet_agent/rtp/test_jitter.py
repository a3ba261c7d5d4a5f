"""The jitter buffer: what comes out of it on each tick, whatever comes in."""

from __future__ import annotations

import random
from collections import Counter

import numpy as np
import pytest

from callfleet_agent.audio import FrameKind, Pcm8k
from callfleet_agent.audio.noise import NoiseFloor
from callfleet_agent.rtp.jitter import Arrival, JitterBuffer, JitterSettings

REAL, CONCEALED, NOISE = FrameKind.REAL, FrameKind.CONCEALED, FrameKind.NOISE
LOUD = 5000


class Line:
    """A jitter buffer, and a sender whose n-th frame is a constant, so that it is recognised."""

    def __init__(self, *, first: int = 0, settings: JitterSettings | None = None) -> None:
        self.buffer = JitterBuffer(
            settings or JitterSettings(), NoiseFloor(random.Random(1), -90.0)
        )
        self.first = first

    def push(
        self,
        *numbers: int,
        marker: bool = False,
        jitter: float = 0.0,
        shift: int = 0,
        ms: int = 20,
        quiet: bool = False,
    ) -> Arrival:
        """Packets of `ms` by their number; `shift` moves the timestamps (samples)."""
        for number in numbers:
            samples = 8 * ms
            value = 0 if quiet else LOUD + number
            arrival = self.buffer.push(
                (self.first + number) % 65536,
                (self.first * 160 + number * samples + shift) % 2**32,
                Pcm8k.from_samples(np.full(samples, value)).data,
                marker=marker,
                jitter=jitter,
            )
        return arrival

    def pop(self) -> FrameKind:
        kind, data = self.buffer.pop()
        assert len(data) == 320
        self.samples = Pcm8k(data).samples.astype(int)
        return kind

    def number(self) -> int:
        """Pops a real frame; the number of its packet (its first 4 ms may be faded in)."""
        assert self.pop() is REAL
        assert (self.samples[32:] == self.samples[-1]).all()
        return int(self.samples[-1]) - LOUD

    def pops(self, count: int) -> list[FrameKind]:
        return [self.pop() for _ in range(count)]

    def steady(self, count: int, start: int = 0) -> None:
        """Plays packets as they come, one each tick."""
        for number in range(start, start + count):
            self.push(number)
            self.pop()


def started(count: int = 10) -> Line:
    line = Line()
    line.steady(count)
    return line


def test_before_the_first_packet_there_is_noise() -> None:
    assert Line().pops(3) == [NOISE] * 3


def test_the_first_packet_is_played_after_20_ms_and_all_follow_in_order() -> None:
    line = Line()
    line.push(0)
    assert line.pop() is NOISE
    played = []
    for number in range(1, 50):
        line.push(number)
        played.append(line.number())
    assert played == list(range(49))
    assert line.buffer.delay_ms == 20


def test_numbers_may_wrap() -> None:
    line = Line(first=65530)
    line.push(0)
    line.pop()
    for number in range(1, 20):
        line.push(number)
        assert line.number() == number - 1


def test_timestamps_may_wrap() -> None:
    line = Line()
    shift = 2**32 - 800
    line.push(0, shift=shift)
    line.pop()
    for number in range(1, 20):
        line.push(number, shift=shift)
        assert line.number() == number - 1


def test_packets_that_overtake_are_put_in_order() -> None:
    line = Line()
    line.push(0, 2, 1, 3)
    line.pop()
    assert [line.number() for _ in range(4)] == [0, 1, 2, 3]


def test_a_repeated_packet_is_played_once() -> None:
    line = Line()
    line.push(0, 1)
    assert line.push(1) is Arrival.DUPLICATE
    line.pop()
    assert [line.number(), line.number()] == [0, 1]
    assert line.push(1) is Arrival.DUPLICATE
    assert line.buffer.counters.duplicates == 2


def test_a_lost_packet_is_concealed_and_the_rest_is_on_time() -> None:
    line = started()
    assert line.pop() is REAL
    assert line.pop() is CONCEALED
    line.push(11)
    assert line.number() == 11
    line.push(12)
    assert line.number() == 12
    assert line.buffer.counters.concealed_frames == 1


def test_a_packet_that_comes_after_its_concealment_is_late() -> None:
    line = started()
    line.push(11, 12)
    assert line.number() == 9
    assert line.pop() is CONCEALED
    assert line.push(10) is Arrival.LATE
    assert line.number() == 11
    assert line.buffer.counters.late == 1


def test_of_a_packet_that_is_partly_late_the_rest_is_played() -> None:
    line = Line()
    line.push(0, 2, ms=60)
    kinds = line.pops(6)
    assert kinds == [NOISE, REAL, REAL, REAL, CONCEALED, CONCEALED]
    assert line.push(1, ms=60) is Arrival.QUEUED
    assert line.number() == 1
    assert line.number() == 2


def test_when_nothing_comes_sound_fades_and_then_the_stream_counts_as_paused() -> None:
    line = started()
    assert line.pops(13) == [REAL] + [CONCEALED] * 3 + [NOISE] * 9
    line.push(100)
    assert line.pop() is NOISE
    assert line.number() == 100


def test_what_was_only_delayed_is_played_late_and_not_lost() -> None:
    line = started()
    assert line.pops(4) == [REAL] + [CONCEALED] * 3
    line.push(10, 11, 12, 13)
    assert [line.number() for _ in range(4)] == [10, 11, 12, 13]


@pytest.mark.parametrize("marker", [False, True])
def test_a_pause_of_the_sender_is_noise_and_the_next_talkspurt_is_delayed_anew(
    marker: bool,
) -> None:
    line = started()
    assert line.pops(3) == [REAL, CONCEALED, CONCEALED]
    line.push(10, shift=5 * 160, marker=marker)
    assert line.pop() is NOISE
    assert line.number() == 10


def test_a_pause_that_is_known_when_it_is_played_is_not_concealed() -> None:
    line = started()
    line.push(10, shift=2 * 160)
    assert line.pops(3) == [REAL, NOISE, NOISE]
    assert line.number() == 10


def test_a_key_is_a_pause() -> None:
    line = started()
    line.buffer.expect_pause()
    assert line.pops(3) == [REAL, NOISE, NOISE]


@pytest.mark.parametrize("ms", [10, 20, 30, 40, 60])
def test_any_packet_length_becomes_frames_of_20_ms(ms: int) -> None:
    line = Line()
    ticks = 60
    rng = np.random.default_rng(1)
    sound = Pcm8k.from_samples(rng.integers(-3000, 3000, ticks * 160))
    length = 8 * ms
    heard = b""
    sent = 0
    for tick in range(ticks):
        while (sent + 1) * length <= (tick + 1) * 160:
            piece = sound.slice(sent * length, (sent + 1) * length)
            line.buffer.push(sent, sent * length, piece.data, marker=False, jitter=0.0)
            sent += 1
        kind, data = line.buffer.pop()
        if kind is REAL:
            heard += data
    start = 64  # the first 4 ms are faded in
    assert len(heard) >= (ticks - 6) * 320
    assert heard[start:] == sound.data[start : len(heard)]


def test_timestamps_that_go_back_begin_a_new_talkspurt() -> None:
    line = started()
    line.push(10, shift=-1_000_000)
    assert line.pop() is NOISE
    assert line.number() == 10
    assert line.buffer.counters.resyncs == 1


def test_timestamps_that_jump_ahead_are_not_waited_for() -> None:
    line = started()
    line.push(10, shift=1_000_000)
    assert line.pops(2) == [NOISE, REAL]
    assert line.samples[-1] == LOUD + 10


def test_small_overlaps_are_cut() -> None:
    line = started()
    line.push(10, shift=-80)
    line.push(11, shift=-80)
    assert line.number() == 9
    assert line.pop() is REAL
    assert line.samples[79] == LOUD + 10
    assert line.samples[80] == LOUD + 11


def test_a_packet_inside_another_is_skipped() -> None:
    line = started()
    line.push(10, ms=20)
    line.buffer.push(11, 10 * 160 + 40, bytes(40), marker=False, jitter=0.0)
    line.push(12, shift=-160)
    assert line.number() == 9
    assert line.number() == 10
    assert line.number() == 12


def test_a_burst_after_a_stall_is_cut_to_what_is_wanted() -> None:
    line = started()
    line.pops(20)
    line.push(*range(10, 60))
    assert [line.number(), line.number()] == [58, 59]
    assert line.buffer.counters.discarded == 48


def test_another_stream_begins_anew() -> None:
    line = started()
    line.buffer.reset()
    line.push(5, shift=777)
    assert line.pop() is NOISE
    assert line.number() == 5


def test_jitter_raises_the_delay_and_calm_lowers_it_slowly() -> None:
    line = Line()
    line.push(0, jitter=160.0)
    assert line.buffer.target_ms == 60
    assert line.pops(4) == [NOISE] * 3 + [REAL]
    for number in range(1, 2000):
        line.push(number, jitter=0.0)
        line.pop()
        if number == 300:
            assert 30 < line.buffer.target_ms < 40
    assert line.buffer.target_ms == 20


@pytest.mark.parametrize(("jitter", "delay_ms"), [(0.0, 20), (1e6, 200)])
def test_the_delay_has_bounds(jitter: float, delay_ms: float) -> None:
    line = Line()
    line.push(0, jitter=jitter)
    assert line.buffer.target_ms == delay_ms


def ahead(quiet: bool) -> Line:
    """Packets come 60 ms early on a line whose target is 20 ms."""
    line = started()
    line.push(10, 11, quiet=quiet)
    for number in range(12, 400):
        line.push(number, quiet=quiet)
        line.pop()
    return line


def test_silence_is_left_out_when_packets_come_too_early() -> None:
    line = ahead(quiet=True)
    assert line.buffer.counters.dropped_frames == 2
    assert line.buffer.delay_ms < 40


def test_speech_is_never_left_out() -> None:
    line = ahead(quiet=False)
    assert line.buffer.counters.dropped_frames == 0
    assert line.buffer.delay_ms > 50


def test_nothing_is_left_out_when_little_would_remain() -> None:
    line = ahead(quiet=False)
    for number in range(400, 403):
        line.push(number, quiet=True)
    line.pops(12)
    assert line.buffer.counters.dropped_frames <= 2


def behind(quiet: bool) -> Line:
    """The jitter has grown, and packets come when they are due."""
    line = started()
    for number in range(10, 400):
        line.push(number, quiet=quiet, jitter=120.0)
        line.pop()
    return line


def test_silence_is_played_again_when_packets_come_too_late() -> None:
    line = behind(quiet=True)
    assert line.buffer.counters.inserted_frames == 1
    assert line.buffer.delay_ms == pytest.approx(40, abs=1)


def test_speech_is_never_played_again() -> None:
    assert behind(quiet=False).buffer.counters.inserted_frames == 0


def test_background_noise_counts_as_silence() -> None:
    line = Line()
    rng = np.random.default_rng(1)
    sent = 0
    for tick in range(600):
        for _ in range(3 if tick == 400 else 1):
            noise = Pcm8k.from_samples(rng.normal(scale=250, size=160))
            line.buffer.push(sent, sent * 160, noise.data, marker=False, jitter=0.0)
            sent += 1
        line.pop()
    assert line.buffer.counters.dropped_frames == 2


@pytest.mark.parametrize("parts_per_million", [-500, 500])
def test_clocks_that_drift_apart_lose_no_speech(parts_per_million: int) -> None:
    line = Line()
    kinds: Counter[FrameKind] = Counter()
    sent = 0
    for tick in range(6000):
        while sent * 0.02 * (1 + parts_per_million / 1e6) <= tick * 0.02:
            line.push(sent, quiet=sent % 50 < 15)
            sent += 1
        kinds[line.pop()] += 1
    counters = line.buffer.counters
    assert counters.late == counters.discarded == counters.concealed_frames == 0
    assert abs(counters.dropped_frames - counters.inserted_frames) in (2, 3, 4)
    assert 0 <= line.buffer.delay_ms <= 45
