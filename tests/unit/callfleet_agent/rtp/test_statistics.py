"""A receiver's figures: RFC 3550, A.1, A.3 and A.8."""

from __future__ import annotations

import pytest

from callfleet_agent.rtp.statistics import SourceStatistics


def received(*sequences: int) -> SourceStatistics:
    statistics = SourceStatistics(1, sequences[0])
    for index, sequence in enumerate(sequences):
        statistics.update(sequence % 65536, index * 160, index * 0.02)
    return statistics


def test_nothing_lost() -> None:
    statistics = received(*range(10, 20))
    assert (statistics.expected, statistics.lost, statistics.fraction_lost()) == (10, 0, 0)


def test_lost_packets_and_the_fraction_since_the_last_report() -> None:
    statistics = received(0, 1, 2, 5)
    assert (statistics.expected, statistics.lost) == (6, 2)
    assert statistics.fraction_lost() == 2 * 256 // 6
    assert statistics.fraction_lost() == 0
    statistics.update(7, 0, 0)
    assert statistics.fraction_lost() == 128


def test_duplicates_make_the_loss_negative() -> None:
    statistics = received(0, 1, 1, 1)
    assert (statistics.lost, statistics.fraction_lost()) == (-2, 0)


def test_reordered_packets_are_counted_once_each() -> None:
    statistics = received(0, 2, 1, 3)
    assert (statistics.expected, statistics.lost, statistics.highest_sequence) == (4, 0, 3)


def test_the_sequence_number_is_extended_at_the_wrap() -> None:
    statistics = received(65534, 65535, 65536, 65535, 65537)
    assert statistics.highest_sequence == 65537
    assert (statistics.expected, statistics.received) == (4, 5)


def test_one_wild_sequence_number_is_ignored_and_two_are_a_restart() -> None:
    statistics = received(*range(100))
    assert statistics.update(30000, 0, 2.0) is False
    assert statistics.update(100, 0, 2.0) is True
    assert statistics.received == 101
    assert statistics.update(30000, 0, 2.0) is False
    assert statistics.update(30001, 0, 2.0) is True
    assert (statistics.received, statistics.highest_sequence, statistics.lost) == (1, 30001, 0)


def test_jitter_follows_the_formula() -> None:
    statistics = SourceStatistics(1, 0)
    statistics.update(0, 0, 0.000)
    statistics.update(1, 160, 0.030)  # 80 units later than its timestamp says
    assert statistics.jitter == pytest.approx(80 / 16)
    statistics.update(2, 320, 0.040)  # 80 earlier again
    assert statistics.jitter == pytest.approx(5 + (80 - 5) / 16)
    assert statistics.jitter_ms == pytest.approx(statistics.jitter / 8)


def test_jitter_of_a_steady_stream_is_zero_at_the_wrap_too() -> None:
    statistics = SourceStatistics(1, 0)
    for index in range(10):
        statistics.update(index, (2**32 - 800 + 160 * index) % 2**32, index * 0.02)
    assert statistics.jitter == pytest.approx(0, abs=1e-6)


def test_a_jump_of_the_timestamps_is_no_jitter() -> None:
    statistics = received(0, 1)
    statistics.update(2, 90_000_000, 0.04)
    assert statistics.jitter == pytest.approx(0, abs=1e-6)


def test_events_are_counted_but_not_measured() -> None:
    statistics = received(0, 1)
    statistics.update(2, 160, 0.04, measured=False)
    statistics.update(3, 160, 0.06, measured=False)
    statistics.update(4, 640, 0.08)
    assert statistics.received == 5
    assert statistics.jitter == pytest.approx(0, abs=1e-6)
