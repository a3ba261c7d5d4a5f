"""What is heard where packets are missing: the last pitch period again, fading out.

After 10 ms it fades for 50 ms into the noise floor, as G.711 Appendix I does, and real sound is
faded in over 4 ms when it returns.
"""

from __future__ import annotations

from collections import deque
from typing import Final

import numpy as np
import numpy.typing as npt

from callfleet_agent.audio.noise import NoiseFloor

Floats = npt.NDArray[np.float32]

MIN_LAG: Final = 40  # 200 Hz
MAX_LAG: Final = 120  # 66 Hz
_WINDOW = 160
_HISTORY = _WINDOW + MAX_LAG
_HOLD = 80  # samples at full level
FADE_END: Final = 480  # 60 ms
_CROSS = 32
_GAIN: Floats = np.interp(np.arange(FADE_END), [0, _HOLD, FADE_END], [1, 1, 0]).astype(np.float32)
_RISE: Floats = np.linspace(0, 1, _CROSS, dtype=np.float32)


class Concealer:
    """Sees all that is played, and fills what is missing. Sound is s16le bytes of 8 kHz."""

    def __init__(self, noise: NoiseFloor) -> None:
        self._noise = noise
        self._history: deque[bytes] = deque()
        self._kept = 0
        self._period: Floats | None = None
        self._done = 0

    @property
    def faded(self) -> bool:
        """Nothing of the speaker is left: what `fill` returns is the noise floor."""
        return self._done >= FADE_END

    def real(self, data: bytes) -> bytes:
        """Real sound, its first 4 ms mixed with what was made up before."""
        if self._done:
            data = self._blend(data)
            self._done, self._period = 0, None
        self._remember(data)
        return data

    def fill(self, samples: int) -> bytes:
        """The next `samples` that are missing."""
        noise = self._noise.take(samples)
        start, self._done = self._done, self._done + samples
        if start >= FADE_END:
            return noise
        floor = np.frombuffer(noise, "<i2").astype(np.float32)
        return _to_bytes(self._synthetic(start, samples) + floor)

    def silence(self, samples: int) -> bytes:
        """Where the speaker paused: the noise floor, with nothing to fade."""
        self._done, self._period = FADE_END, None
        return self._noise.take(samples)

    def _synthetic(self, start: int, samples: int) -> Floats:
        if self._period is None:
            self._period = _last_period(b"".join(self._history))
        index = np.arange(start, start + samples)
        gain = np.zeros(samples, np.float32)
        inside = index < FADE_END
        gain[inside] = _GAIN[index[inside]]
        return self._period[index % len(self._period)] * gain

    def _blend(self, data: bytes) -> bytes:
        samples = min(_CROSS, len(data) // 2)
        old = np.frombuffer(self.fill(samples), "<i2").astype(np.float32)
        new = np.frombuffer(data[: 2 * samples], "<i2").astype(np.float32)
        rise = _RISE[:samples]
        return _to_bytes(old * (1 - rise) + new * rise) + data[2 * samples :]

    def _remember(self, data: bytes) -> None:
        self._history.append(data)
        self._kept += len(data)
        while self._kept - len(self._history[0]) >= 2 * _HISTORY:
            self._kept -= len(self._history.popleft())


def _last_period(history: bytes) -> Floats:
    """One pitch period of the end of what was heard, its ends joined without a step."""
    past = np.frombuffer(history, "<i2").astype(np.float32)[-_HISTORY:]
    if len(past) < _HISTORY:
        return np.zeros(MAX_LAG, np.float32)
    lag = _pitch_lag(past)
    period = past[-lag:].copy()
    overlap = lag // 4
    rise = np.linspace(0, 1, overlap, dtype=np.float32)
    before = past[-lag - overlap : -lag]
    period[-overlap:] = period[-overlap:] * (1 - rise) + before * rise
    return period


def _pitch_lag(past: Floats) -> int:
    """The lag whose window resembles the last 20 ms most (normalised cross-correlation)."""
    target = past[-_WINDOW:]
    windows = np.lib.stride_tricks.sliding_window_view(past[:-MIN_LAG], _WINDOW)
    energy = np.sqrt(np.sum(windows * windows, axis=1)) + 1.0
    best = int(np.argmax(windows @ target / energy))
    return MIN_LAG + (len(windows) - 1 - best)


def _to_bytes(samples: Floats) -> bytes:
    return np.clip(np.rint(samples), -32768, 32767).astype("<i2").tobytes()
