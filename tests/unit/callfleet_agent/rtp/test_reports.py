"""When reports go out, and what they say."""

from __future__ import annotations

import random

import pytest

from callfleet_agent.rtp.reports import Reporter, interval_s, ntp, short_ntp
from callfleet_agent.rtp.rtcp import (
    Bye,
    ReceiverReport,
    ReportBlock,
    SenderReport,
    SourceDescription,
    parse_compound,
)
from callfleet_agent.rtp.sender import RtpSender
from callfleet_agent.rtp.statistics import SourceStatistics


class Fixed(random.Random):
    """Always in the middle."""

    def random(self) -> float:
        return 0.5


def reporter(minimum_s: float = 5.0) -> Reporter:
    return Reporter("name", rng=Fixed(), now=0.0, minimum_s=minimum_s)


def sender() -> RtpSender:
    return RtpSender(ssrc=7, sequence=0, timestamp=1000)


def test_the_interval_is_five_seconds_spread_and_compensated() -> None:
    rng = random.Random(1)
    intervals = [interval_s(rng, 100, 5.0) for _ in range(1000)]
    assert min(intervals) >= 2.5 / 1.21829
    assert max(intervals) <= 7.5 / 1.21828
    assert sum(intervals) / 1000 == pytest.approx(5 / 1.21828, rel=0.05)


def test_large_reports_come_less_often() -> None:
    assert interval_s(Fixed(), 4000, 5.0) == pytest.approx(20 / 1.21828, rel=1e-4)


def test_the_first_report_comes_after_half_the_interval() -> None:
    first = 2.5 / 1.21828
    assert reporter().poll(sender(), None, first - 0.01) is None
    assert reporter().poll(sender(), None, first + 0.01) is not None
    assert reporter(1.2).poll(sender(), None, 0.51) is not None


def test_who_sent_nothing_reports_as_a_receiver() -> None:
    data = reporter().poll(sender(), None, 10.0)
    assert data is not None
    assert parse_compound(data) == (ReceiverReport(7), SourceDescription(((7, "name"),)))


def test_who_sent_reports_as_a_sender_until_two_reports_later() -> None:
    ours, speaking = reporter(), sender()
    speaking.packet(0, bytes(160))
    kinds = []
    for now in (10.0, 20.0, 30.0):
        data = ours.poll(speaking, None, now)
        assert data is not None
        kinds.append(type(parse_compound(data)[0]))
    assert kinds == [SenderReport, SenderReport, ReceiverReport]


def test_a_sender_report_tells_time_and_counts() -> None:
    speaking = sender()
    speaking.packet(0, bytes(160))
    speaking.advance(1)
    data = reporter().poll(speaking, None, 10.5)
    assert data is not None
    assert parse_compound(data)[0] == SenderReport(7, ntp(10.5), 1160, 1, 160)


def test_a_block_tells_loss_jitter_and_the_time_since_their_report() -> None:
    ours = reporter()
    source = SourceStatistics(9, 0)
    for sequence in (0, 1, 3):
        source.update(sequence, sequence * 160, sequence * 0.02)
    theirs = SenderReport(9, ntp(500.0), 0, 3, 480)
    ours.receive((theirs,), 7, 9, 9.0)
    data = ours.poll(sender(), source, 10.5)
    assert data is not None
    report = parse_compound(data)[0]
    assert isinstance(report, ReceiverReport)
    assert report.blocks == (ReportBlock(9, 64, 1, 3, 0, short_ntp(ntp(500.0)), int(1.5 * 65536)),)


def test_the_report_of_another_source_is_not_answered() -> None:
    ours = reporter()
    ours.receive((SenderReport(9, ntp(5.0), 0, 3, 480),), 7, 8, 9.0)
    ours.receive((SenderReport(8, ntp(5.0), 0, 3, 480),), 7, 8, 9.0)
    ours.forget_source()
    data = ours.poll(sender(), SourceStatistics(8, 0), 10.5)
    assert data is not None
    report = parse_compound(data)[0]
    assert isinstance(report, ReceiverReport)
    assert (report.blocks[0].last_sr, report.blocks[0].delay_since_sr) == (0, 0)


def block(ssrc: int, *, last_sr: int = 0, delay: int = 0) -> ReportBlock:
    return ReportBlock(ssrc, 64, 5, 0, 80, last_sr, delay)


def test_what_they_say_of_our_stream_is_kept() -> None:
    ours = reporter()
    sent = short_ntp(ntp(10.0))
    answer = block(7, last_sr=sent, delay=int(0.5 * 65536))
    ours.receive((ReceiverReport(9, (block(8), answer)),), 7, 9, 10.6)
    assert ours.remote.fraction_lost == 0.25
    assert (ours.remote.lost, ours.remote.jitter_ms) == (5, 10.0)
    assert ours.remote.rtt_ms == pytest.approx(100, abs=0.1)


@pytest.mark.parametrize("answer", [block(7), block(7, last_sr=short_ntp(ntp(20.0)))])
def test_an_answer_without_a_question_gives_no_round_trip(answer: ReportBlock) -> None:
    ours = reporter()
    ours.receive((ReceiverReport(9, (answer,)),), 7, 9, 10.0)
    assert ours.remote.rtt_ms is None


def test_reports_on_nobody_and_other_packets_change_nothing() -> None:
    ours = reporter()
    ours.receive((ReceiverReport(9), Bye((9,))), 7, 9, 1.0)
    assert ours.remote.rtt_ms is None


def test_the_farewell_is_a_compound_with_bye() -> None:
    packets = parse_compound(reporter().bye(sender(), None, 3.0))
    assert [type(packet) for packet in packets] == [ReceiverReport, SourceDescription, Bye]
    assert packets[-1] == Bye((7,))
