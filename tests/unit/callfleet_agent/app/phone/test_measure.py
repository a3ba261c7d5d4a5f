"""What is measured is what the definition says."""

import numpy as np
import pytest

from callfleet_agent.app.phone.measure import Segments, SpeechArrivals, TurnTimes
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


def test_what_is_heard_is_cut_into_utterances() -> None:
    segments = Segments(quiet_s=0.1, lead_s=0.04)
    cut = [segments.add(LOUD if kind == "#" else QUIET) for kind in "......##.##......##"]
    found = [utterance for utterance in cut if utterance is not None]
    assert [len(each) // FRAME_SAMPLES for each in found] == [2 + 5 + 5]
    rest = segments.flush()
    assert rest is not None
    assert len(rest) // FRAME_SAMPLES == 1 + 2
    assert segments.flush() is None
