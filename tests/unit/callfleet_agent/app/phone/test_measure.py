"""What is measured is what the definition says."""

import numpy as np
import pytest

from callfleet_agent.app.phone.measure import Run, Segments, SpeechArrivals, TurnTimes
from callfleet_agent.audio import FRAME_SAMPLES, Pcm8k

LOUD = Pcm8k.from_samples(np.full(FRAME_SAMPLES, 4000))
QUIET = Pcm8k.from_samples(np.full(FRAME_SAMPLES, 30))


def arrivals(pattern: str) -> SpeechArrivals:
    """One packet every 20 ms: `#` is speech, `.` is not."""
    found = SpeechArrivals()
    for number, kind in enumerate(pattern):
        found.receive(LOUD if kind == "#" else QUIET, number * 0.02)
    return found


@pytest.mark.parametrize(
    ("pattern", "onsets"),
    [
        ("....", []),
        ("..##..", []),
        ("..###..", [0.04]),
        ("#.##.####", [0.10]),
        ("###..###", [0.0, 0.10]),
        ("##########", [0.0]),
    ],
)
def test_speech_counts_from_its_first_packet_when_it_goes_on_for_60_ms(
    pattern: str, onsets: list[float]
) -> None:
    assert arrivals(pattern).onsets == pytest.approx(onsets)


def test_silence_is_counted_from_the_last_speech() -> None:
    found = arrivals(".###...")
    assert found.silent_for(1.06, since=0.0) == pytest.approx(1.0)
    assert found.silent_for(1.06, since=0.56) == pytest.approx(0.5)
    assert SpeechArrivals().silent_for(2.0, since=0.5) == pytest.approx(1.5)


def half_loud(loud: int) -> Pcm8k:
    samples = np.zeros(FRAME_SAMPLES)
    samples[:loud] = 4000
    return Pcm8k.from_samples(samples)


def test_our_speech_ends_with_the_packet_that_holds_its_last_loud_sample() -> None:
    turn = TurnTimes(began_at=1.0)
    turn.sent(LOUD, 1.00)
    turn.sent(half_loud(1), 1.02)
    turn.sent(QUIET, 1.04)
    assert turn.speech_ended_at == 1.02


def test_the_answer_is_the_first_speech_after_the_end_of_ours() -> None:
    turn = TurnTimes(began_at=1.0)
    turn.heard(0.9)
    turn.sent(LOUD, 1.5)
    turn.heard(1.2)
    assert turn.answer_ms is None
    turn.heard(1.9)
    turn.heard(2.5)
    assert turn.answer_ms == pytest.approx(400.0)


def test_the_answer_to_keys_counts_from_the_last_key() -> None:
    turn = TurnTimes(began_at=1.0)
    turn.key_sent(1.2)
    turn.key_sent(1.4)
    turn.heard(1.6)
    assert turn.answer_ms == pytest.approx(200.0)


@pytest.mark.parametrize(
    ("pattern", "runs"),
    [
        ("....", []),
        ("..##.....", []),
        ("..#####..", [(0.04, 0.12)]),
        ("###......###", [(0.0, 0.22)]),  # a pause of 120 ms between words
        ("###" + "." * 11 + "###", [(0.0, 0.32)]),  # its last packet and the next: 240 ms
        ("###" + "." * 13 + "###", [(0.0, 0.04), (0.32, 0.36)]),
        ("###..#..", [(0.0, 0.10)]),  # the tail of a word is speech
        ("###" + "." * 13 + "#..", [(0.0, 0.04)]),  # a click is none
    ],
)
def test_what_the_agent_says_is_a_run_in_spite_of_short_pauses(
    pattern: str, runs: list[tuple[float, float]]
) -> None:
    found = [(run.began_at, run.ended_at) for run in arrivals(pattern).runs]
    assert found == [pytest.approx(run) for run in runs]


RUNS = [Run(1.0, 2.5), Run(4.0, 6.0)]


@pytest.mark.parametrize(
    ("began_at", "interrupted_ms"),
    [
        (0.9, None),  # before it spoke
        (1.0, 1500.0),
        (2.1, 400.0),
        (2.5, 0.0),
        (2.6, None),  # after it had stopped by itself
        (3.9, None),
        (4.5, 1500.0),
    ],
)
def test_an_interruption_lasts_until_what_the_agent_was_saying_stops(
    began_at: float, interrupted_ms: float | None
) -> None:
    turn = TurnTimes(began_at=0.5)
    turn.sent(QUIET, began_at - 0.02)
    turn.sent(LOUD, began_at)
    turn.sent(LOUD, began_at + 0.02)
    expected = None if interrupted_ms is None else pytest.approx(interrupted_ms)
    assert turn.interrupted_ms(RUNS) == expected


def test_a_key_interrupts_with_its_first_packet() -> None:
    turn = TurnTimes(began_at=1.0)
    assert turn.interrupted_ms(RUNS) is None
    turn.key_began(2.2)
    turn.key_began(2.22)
    turn.key_sent(2.3)
    assert turn.interrupted_ms(RUNS) == pytest.approx(300.0)


def test_what_is_heard_is_cut_into_utterances() -> None:
    segments = Segments(quiet_s=0.1, lead_s=0.04)
    cut = [segments.add(LOUD if kind == "#" else QUIET) for kind in "......##.##......##"]
    found = [utterance for utterance in cut if utterance is not None]
    assert [len(each) // FRAME_SAMPLES for each in found] == [2 + 5 + 5]
    rest = segments.flush()
    assert rest is not None
    assert len(rest) // FRAME_SAMPLES == 1 + 2
    assert segments.flush() is None
