"""What is heard where packets are missing."""

from __future__ import annotations

import random

import numpy as np
import numpy.typing as npt
import pytest

from callfleet_agent.audio import Pcm8k
from callfleet_agent.audio.level import dbfs
from callfleet_agent.audio.noise import NoiseFloor
from callfleet_agent.rtp.concealment import Concealer

NOISE_DBFS = -60.0


def concealer() -> Concealer:
    return Concealer(NoiseFloor(random.Random(1), NOISE_DBFS))


def tone(hertz: float, samples: int, start: int = 0) -> npt.NDArray[np.float64]:
    return 8000 * np.sin(2 * np.pi * hertz * np.arange(start, start + samples) / 8000)


def frame(hertz: float, number: int) -> bytes:
    return Pcm8k.from_samples(tone(hertz, 160, 160 * number)).data


def heard(fills: int, hertz: float = 100.0) -> tuple[Concealer, list[Pcm8k]]:
    """Ten frames of a tone, then `fills` that are missing."""
    concealed = concealer()
    for number in range(10):
        assert concealed.real(frame(hertz, number)) == frame(hertz, number)
    return concealed, [Pcm8k(concealed.fill(160)) for _ in range(fills)]


@pytest.mark.parametrize("hertz", [80.0, 100.0, 160.0, 190.0])
def test_a_voice_goes_on_with_its_pitch(hertz: float) -> None:
    _, (filled,) = heard(1, hertz)
    wanted = tone(hertz, 80, 1600)
    assert np.abs(filled.samples[:80] - wanted).max() < 0.25 * 8000


def test_it_fades_within_60_ms_into_the_noise_floor() -> None:
    concealed, frames = heard(4)
    levels = [dbfs(each) for each in frames]
    assert levels[0] > levels[1] > levels[2] > levels[3]
    assert levels[0] == pytest.approx(-15.5, abs=1.0)
    assert levels[3] == pytest.approx(NOISE_DBFS, abs=2.0)
    assert concealed.faded


def test_real_sound_returns_without_a_step() -> None:
    concealed, (_,) = heard(1)
    loud = Pcm8k.from_samples(np.full(160, 8000.0))
    back = Pcm8k(concealed.real(loud.data)).samples.astype(int)
    assert np.abs(np.diff(back)).max() < 1500
    assert (back[32:] == 8000).all()
    assert not concealed.faded


def test_a_short_piece_is_blended_as_a_whole() -> None:
    concealed, (_,) = heard(1)
    assert len(concealed.real(bytes(20))) == 20


def test_without_a_past_it_is_the_noise_floor() -> None:
    assert dbfs(Pcm8k(concealer().fill(160))) == pytest.approx(NOISE_DBFS, abs=2.0)


def test_a_pause_is_the_noise_floor_and_leaves_nothing_to_fade() -> None:
    concealed, _ = heard(0)
    assert dbfs(Pcm8k(concealed.silence(160))) == pytest.approx(NOISE_DBFS, abs=2.0)
    assert dbfs(Pcm8k(concealed.fill(160))) == pytest.approx(NOISE_DBFS, abs=2.0)


def test_a_second_loss_fades_anew() -> None:
    concealed, _ = heard(4)
    for number in range(3):
        concealed.real(frame(100.0, number))
    assert dbfs(Pcm8k(concealed.fill(160))) > -20
