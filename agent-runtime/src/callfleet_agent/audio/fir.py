"""Design of low-pass filters: a windowed sinc (Kaiser), linear phase."""

from __future__ import annotations

from math import ceil, pi

import numpy as np
import numpy.typing as npt

Taps = npt.NDArray[np.float32]

ATTENUATION_DB = 80.0
_BETA = 0.1102 * (ATTENUATION_DB - 8.7)


def taps_for(width: float) -> int:
    """How many taps a transition of `width` (a fraction of the sample rate) takes."""
    return ceil((ATTENUATION_DB - 7.95) / (2.285 * 2 * pi * width)) + 1


def low_pass(offsets: npt.NDArray[np.float64], cutoff: float, half: float) -> Taps:
    """The filter at `offsets` (samples from its middle, `half` at its ends), its gain 1 at 0 Hz
    when the offsets are one sample apart. `cutoff` is a fraction of the sample rate."""
    inside = np.clip(1 - (offsets / half) ** 2, 0, None)
    window = np.i0(_BETA * np.sqrt(inside)) / np.i0(_BETA)
    return (2 * cutoff * np.sinc(2 * cutoff * offsets) * window).astype(np.float32)
