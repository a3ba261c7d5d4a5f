"""Our own prompt, coming back over the line, is no speech.

Two signs, measured only while something is being said: what comes in is much quieter than what went
out, or it looks like what went out some time ago (the peak of the normalised cross-correlation).
"""

from collections import deque
from typing import Final

import numpy as np
import numpy.typing as npt

from callfleet_agent.audio import FRAME_SAMPLES, Pcm8k

MEMORY_FRAMES: Final = 30  # 600 ms of what was played
LOOK_FRAMES: Final = 12  # 240 ms of what came in
MARGIN_DB: Final = 16.0
ALIKE: Final = 0.5
_TINY: Final = 1e-3

Floats = npt.NDArray[np.float32]


class EchoGuard:
    """One call's memory of both directions."""

    def __init__(self) -> None:
        self._played: deque[Floats] = deque(maxlen=MEMORY_FRAMES)
        self._heard: deque[Floats] = deque(maxlen=LOOK_FRAMES)

    def feed(self, inbound: Pcm8k, reference: Pcm8k) -> None:
        """One tick of 20 ms."""
        self._heard.append(inbound.samples.astype(np.float32))
        self._played.append(reference.samples.astype(np.float32))

    def is_echo(self) -> bool:
        """Whether what came in of late is what was played."""
        if not self._heard:
            return False
        heard, played = np.concatenate(self._heard), np.concatenate(self._played)
        loud_in, loud_out = _loudest(heard), _loudest(played)
        if loud_out < _TINY:
            return False
        return loud_in < loud_out * 10 ** (-MARGIN_DB / 20) or _alikeness(heard, played) > ALIKE


def _loudest(samples: Floats) -> float:
    frames = samples.reshape(-1, FRAME_SAMPLES)
    return float(np.sqrt((frames**2).mean(axis=1).max()))


def _alikeness(heard: Floats, played: Floats) -> float:
    """The highest normalised cross-correlation of `heard` with any stretch of `played`."""
    lags = len(played) - len(heard) + 1
    if lags < 1:
        return 0.0
    size = 1 << (len(played) + len(heard) - 1).bit_length()
    spectrum = np.fft.rfft(played, size) * np.conj(np.fft.rfft(heard, size))
    products = np.fft.irfft(spectrum, size)[:lags]
    energy = np.concatenate(([0.0], np.cumsum(played.astype(np.float64) ** 2)))
    stretches = energy[len(heard) :] - energy[: len(energy) - len(heard)]
    scale = np.sqrt(np.maximum(stretches, _TINY) * max(float((heard**2).sum()), _TINY))
    return float(np.max(np.abs(products) / scale))
