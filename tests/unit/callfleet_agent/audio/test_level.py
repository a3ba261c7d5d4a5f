"""Levels, and where speech begins and ends."""

from __future__ import annotations

from math import inf

import numpy as np
import pytest

from callfleet_agent.audio import Pcm8k, Pcm16k
from callfleet_agent.audio.level import SpeechOnset, dbfs, last_above


def loud(samples: int, amplitude: int = 3000) -> Pcm8k:
    return Pcm8k.from_samples(np.resize(np.array([amplitude, -amplitude], np.int16), samples))


@pytest.mark.parametrize(
    ("sound", "expected"),
    [
        (loud(160, 32767), 0.0),
        (loud(160, 3277), -20.0),
        (loud(160, 328), -40.0),
        (Pcm8k.silence(160), -inf),
        (Pcm8k(b""), -inf),
    ],
)
def test_level(sound: Pcm8k, expected: float) -> None:
    assert dbfs(sound) == pytest.approx(expected, abs=0.01)


def test_the_last_sample_of_speech() -> None:
    assert last_above(loud(100) + Pcm8k.silence(60)) == 99
    assert last_above(loud(100, 300)) is None
    assert last_above(Pcm8k.from_samples(np.array([-32768, 0], np.int16))) == 0


def test_speech_begins_where_it_is_sustained() -> None:
    onset = SpeechOnset(8000)
    click, speech = loud(400), loud(480)
    assert onset.feed(Pcm8k.silence(800) + click + Pcm8k.silence(400)) is None
    assert onset.feed(speech.slice(0, 400)) is None
    assert onset.feed(speech.slice(400)) == 1600
    assert onset.feed(loud(8000)) == 1600


def test_pieces_of_any_size_give_the_same_answer() -> None:
    sound = Pcm8k.silence(83) + loud(1000)
    whole, pieces = SpeechOnset(8000), SpeechOnset(8000)
    whole.feed(sound)
    for start in range(0, len(sound), 7):
        pieces.feed(sound.slice(start, start + 7))
    assert whole.start == pieces.start == 80


def test_another_rate_and_threshold() -> None:
    onset = SpeechOnset(16000, threshold_dbfs=-20.0, sustain_ms=25)
    assert onset.feed(Pcm16k(loud(1600, 3000).data)) is None
    assert onset.feed(Pcm16k(loud(480, 4000).data)) == 1600
