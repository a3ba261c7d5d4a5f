"""Changing the sample rate: short filters for live sound, good ones for finished speech.

Live, 8 to 16 kHz and back: a half-band filter of 95 taps at 16 kHz, 2.94 ms of delay, flat to
3.4 kHz, 75 dB against what would alias (measured in the tests). A long filter costs up to 117 ms
in a stream, which a caller hears as slowness.
"""

from __future__ import annotations

from math import gcd
from typing import Final, Generic, TypeVar

import numpy as np
import numpy.typing as npt

from callfleet_agent.audio.fir import Taps, low_pass, taps_for
from callfleet_agent.audio.pcm import Pcm, Pcm8k, Pcm16k

Floats = npt.NDArray[np.float32]
Out = TypeVar("Out", bound=Pcm)

LIVE_TAPS: Final = 95
LIVE_DELAY_MS: Final = (LIVE_TAPS - 1) / 2 / 16
_BLOCK = 4096
_PASS = 0.85  # of the lower Nyquist frequency

_MIDDLE = (LIVE_TAPS - 1) // 2
_LIVE: Taps = low_pass(np.arange(-_MIDDLE, _MIDDLE + 1, dtype=np.float64), 0.25, _MIDDLE + 1)
_EVEN: Taps = np.append(_LIVE[0::2], np.float32(0))[: (LIVE_TAPS + 1) // 2]
_ODD: Taps = np.append(_LIVE[1::2], np.float32(0))[: (LIVE_TAPS + 1) // 2]
_PHASE = len(_EVEN)


class Upsampler8to16:
    """A stream of 8 kHz as 16 kHz: two samples out for each one in, 2.94 ms later."""

    def __init__(self) -> None:
        self._past: Floats = np.zeros(_PHASE - 1, np.float32)

    def process(self, sound: Pcm8k) -> Pcm16k:
        """The next piece, of any length."""
        if not len(sound):
            return Pcm16k(b"")
        data = np.concatenate((self._past, sound.samples.astype(np.float32)))
        self._past = data[-(_PHASE - 1) :]
        out = np.empty(2 * len(sound), np.float32)
        out[0::2] = np.convolve(data, 2 * _EVEN, "valid")
        out[1::2] = np.convolve(data, 2 * _ODD, "valid")
        return Pcm16k.from_samples(out)


class Downsampler16to8:
    """A stream of 16 kHz as 8 kHz: one sample out for each two in, 2.94 ms later."""

    def __init__(self) -> None:
        self._past: Floats = np.zeros(2 * _PHASE - 2, np.float32)

    def process(self, sound: Pcm16k) -> Pcm8k:
        """The next piece, of any length; an odd sample waits for the next one."""
        data = np.concatenate((self._past, sound.samples.astype(np.float32)))
        whole = len(data) - len(data) % 2
        if whole == 2 * _PHASE - 2:
            self._past = data
            return Pcm8k(b"")
        # The newer sample of each pair meets the even taps.
        newer, older = data[1:whole:2], data[0:whole:2]
        out = np.convolve(newer, _EVEN, "valid") + np.convolve(older, _ODD, "valid")
        self._past = data[whole - (2 * _PHASE - 2) :]
        return Pcm8k.from_samples(out)


class SpeechResampler(Generic[Out]):
    """Speech of any rate as another, piece by piece and to its end: no delay is added to the
    sound, and `flush` gives what the filter still holds. One utterance for each resampler.

    Flat to 85 % of the lower Nyquist frequency, 80 dB above it; 4.2 ms of look-ahead from 22050 to
    8000 Hz.
    """

    def __init__(self, from_rate: int, to: type[Out]) -> None:
        self._to = to
        common = gcd(from_rate, to.rate)
        self._up, self._down = to.rate // common, from_rate // common
        nyquist = min(from_rate, to.rate) / 2 / from_rate  # as a fraction of the input's rate
        self._half = taps_for((1 - _PASS) * nyquist) // 2 + 1
        self._taps = self._phases((1 + _PASS) / 2 * nyquist)
        self._data: Floats = np.zeros(self._half - 1, np.float32)
        self._start = 1 - self._half  # the input position of _data[0]
        self._next = 0  # the output position of the next sample
        self._received = 0

    def process(self, sound: Pcm) -> Out:
        """What of the output is certain after this piece."""
        self._received += len(sound)
        return self._run(sound.samples.astype(np.float32))

    def flush(self) -> Out:
        """The rest; the whole output is as long as the whole input, rounded up."""
        tail = self._run(np.zeros(2 * self._half, np.float32))
        wanted = -(-self._received * self._up // self._down)
        surplus = max(0, self._next - wanted)
        return tail.slice(0, max(0, len(tail) - surplus))

    def _phases(self, cutoff: float) -> Taps:
        taps = np.arange(1 - self._half, self._half + 1, dtype=np.float64)
        phases = np.arange(self._up, dtype=np.float64)[:, None] / self._up
        filters = low_pass(taps[None, :] - phases, cutoff, self._half)
        return np.asarray(filters / filters.sum(axis=1, keepdims=True), np.float32)

    def _run(self, samples: Floats) -> Out:
        self._data = np.concatenate((self._data, samples))
        end = self._start + len(self._data)
        # The last output whose window ends inside the data.
        last = -(-(end - self._half) * self._up // self._down)
        pieces = [
            self._block(np.arange(first, min(first + _BLOCK, last)))
            for first in range(self._next, last, _BLOCK)
        ]
        self._next = max(self._next, last)
        used = self._next * self._down // self._up + 1 - self._half - self._start
        self._data, self._start = self._data[used:], self._start + used
        return self._to.from_samples(np.concatenate([np.zeros(0, np.float32), *pieces]))

    def _block(self, numbers: npt.NDArray[np.int64]) -> Floats:
        positions = numbers * self._down
        windows = np.lib.stride_tricks.sliding_window_view(self._data, 2 * self._half)
        first = positions // self._up + 1 - self._half - self._start
        out = np.einsum("ij,ij->i", windows[first], self._taps[positions % self._up])
        return np.asarray(out, np.float32)


def resample(sound: Pcm, to: type[Out]) -> Out:
    """Finished speech at another rate, whole and without delay."""
    if isinstance(sound, to):
        return sound
    resampler = SpeechResampler(sound.rate, to)
    return resampler.process(sound) + resampler.flush()
