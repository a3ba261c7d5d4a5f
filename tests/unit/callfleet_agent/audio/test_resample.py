"""Delay, flatness and aliasing of the resamplers, measured."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from callfleet_agent.audio import Pcm, Pcm8k, Pcm16k, Pcm22k, Pcm24k, Pcm48k
from callfleet_agent.audio.resample import (
    LIVE_DELAY_MS,
    Downsampler16to8,
    SpeechResampler,
    Upsampler8to16,
    resample,
)

AMPLITUDE = 10000


def tone(kind: type[Pcm], hertz: float, seconds: float = 1.0) -> Pcm:
    time = np.arange(int(kind.rate * seconds)) / kind.rate
    return kind.from_samples(AMPLITUDE * np.sin(2 * np.pi * hertz * time))


def level_at(sound: Pcm, hertz: float) -> float:
    """dB of the strongest line within 30 Hz, relative to the tone that went in."""
    middle = sound.samples[400:-400].astype(float)
    window = np.blackman(len(middle))
    spectrum = np.abs(np.fft.rfft(middle * window)) / window.sum() * 2
    near = np.abs(np.fft.rfftfreq(len(middle), 1 / sound.rate) - hertz) < 30
    return float(20 * np.log10(spectrum[near].max() / AMPLITUDE + 1e-9))


def up(sound: Pcm) -> Pcm16k:
    assert isinstance(sound, Pcm8k)
    return Upsampler8to16().process(sound)


def down(sound: Pcm) -> Pcm8k:
    assert isinstance(sound, Pcm16k)
    return Downsampler16to8().process(sound)


BAND = [100, 300, 1000, 2000, 3000, 3400]


@pytest.mark.parametrize("hertz", BAND)
@pytest.mark.parametrize(("kind", "convert"), [(Pcm8k, up), (Pcm16k, down)])
def test_live_sound_is_flat_over_the_telephone_band(
    kind: type[Pcm], convert: Callable[[Pcm], Pcm], hertz: float
) -> None:
    assert level_at(convert(tone(kind, hertz)), hertz) == pytest.approx(0, abs=0.05)


@pytest.mark.parametrize("hertz", BAND)
def test_live_sound_is_not_mirrored_or_aliased(hertz: float) -> None:
    assert level_at(up(tone(Pcm8k, hertz)), 8000 - hertz) < -75
    assert level_at(down(tone(Pcm16k, 8000 - hertz)), hertz) < -75


def peak(sound: Pcm) -> int:
    return int(np.argmax(np.abs(sound.samples.astype(int))))


def test_live_sound_comes_less_than_4_ms_later() -> None:
    click = np.zeros(800)
    click[200] = 20000
    assert LIVE_DELAY_MS == 2.9375
    assert peak(up(Pcm8k.from_samples(click))) == 400 + 47
    click[200], click[201] = 0, 20000
    assert peak(down(Pcm16k.from_samples(click))) == (200 + 47) // 2


pieces = st.lists(st.integers(0, 400), max_size=12)


@given(pieces)
def test_live_pieces_join_without_a_seam(sizes: list[int]) -> None:
    speech, wide = tone(Pcm8k, 700, 0.5), tone(Pcm16k, 700, 0.5)
    assert isinstance(speech, Pcm8k)
    assert isinstance(wide, Pcm16k)
    upward, downward = Upsampler8to16(), Downsampler16to8()
    higher, lower, at = Pcm16k(b""), Pcm8k(b""), 0
    for size in sizes:
        higher += upward.process(speech.slice(at, at + size))
        lower += downward.process(wide.slice(at, at + size))
        at += size
    assert higher + upward.process(speech.slice(at)) == up(speech)
    assert lower + downward.process(wide.slice(at)) == down(wide)


SPEECH: list[tuple[type[Pcm], type[Pcm]]] = [
    (Pcm22k, Pcm8k), (Pcm24k, Pcm8k), (Pcm48k, Pcm8k), (Pcm16k, Pcm8k), (Pcm22k, Pcm16k),
    (Pcm8k, Pcm16k),
]  # fmt: skip


@pytest.mark.parametrize(("source", "target"), SPEECH)
def test_finished_speech_keeps_its_length_and_place(source: type[Pcm], target: type[Pcm]) -> None:
    sound = tone(source, 1000)
    heard = resample(sound, target)
    assert len(heard) == target.rate
    wanted = tone(target, 1000).samples.astype(int)
    middle = slice(200, -200)
    assert np.abs(heard.samples.astype(int) - wanted)[middle].max() <= 3


@pytest.mark.parametrize("hertz", BAND)
def test_finished_speech_is_flat_over_the_telephone_band(hertz: float) -> None:
    assert level_at(resample(tone(Pcm22k, hertz), Pcm8k), hertz) == pytest.approx(0, abs=0.02)


@pytest.mark.parametrize("hertz", [4000, 4100, 4600, 5000, 7000, 9000, 10500])
def test_finished_speech_is_not_aliased(hertz: float) -> None:
    heard = resample(tone(Pcm22k, hertz), Pcm8k).samples[400:-400].astype(float)
    assert 20 * np.log10(np.std(heard) * np.sqrt(2) / AMPLITUDE + 1e-9) < -75


def test_speech_at_the_right_rate_is_left_alone() -> None:
    sound = tone(Pcm8k, 500)
    assert resample(sound, Pcm8k) is sound


@given(st.lists(st.integers(0, 3000), max_size=8), st.sampled_from(SPEECH))
def test_finished_pieces_join_without_a_seam(
    sizes: list[int], rates: tuple[type[Pcm], type[Pcm]]
) -> None:
    source, target = rates
    sound = tone(source, 700, 0.2)
    resampler = SpeechResampler(source.rate, target)
    out, at = target(b""), 0
    for size in sizes:
        out += resampler.process(sound.slice(at, at + size))
        at += size
    out = out + resampler.process(sound.slice(at)) + resampler.flush()
    assert out == resample(sound, target)


def test_nothing_in_gives_nothing_out() -> None:
    assert resample(Pcm22k(b""), Pcm8k) == Pcm8k(b"")
    assert up(Pcm8k(b"")) == Pcm16k(b"")


def test_finished_speech_needs_little_look_ahead() -> None:
    resampler = SpeechResampler(22050, Pcm8k)
    ready = len(resampler.process(Pcm22k.silence(2205)))
    assert (800 - ready) / 8 < 4.5  # ms
