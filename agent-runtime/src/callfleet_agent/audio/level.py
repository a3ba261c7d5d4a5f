"""How loud sound is, in dBFS (0 dBFS: RMS of a full-scale square wave), and where speech begins
and ends, as the measure of an answer's latency defines it."""

from __future__ import annotations

from math import inf, log10
from typing import Final

import numpy as np

from callfleet_agent.audio import _audioop
from callfleet_agent.audio.pcm import Pcm

FULL_SCALE: Final = 32768.0


def amplitude(dbfs: float) -> float:
    """The RMS amplitude on the int16 scale."""
    return float(FULL_SCALE * 10 ** (dbfs / 20))


def rms(data: bytes) -> int:
    """The RMS amplitude of s16le samples, 0 for none."""
    return int(_audioop.rms(data, 2))


def dbfs(sound: Pcm) -> float:
    """The RMS level; -inf for digital silence and for no samples at all."""
    level = rms(sound.data)
    return 20 * log10(level / FULL_SCALE) if level else -inf


def last_above(sound: Pcm, threshold_dbfs: float = -40.0) -> int | None:
    """The index of the last sample whose magnitude is above the threshold, None if none is."""
    loud = np.flatnonzero(np.abs(sound.samples.astype(np.int32)) > amplitude(threshold_dbfs))
    return int(loud[-1]) if len(loud) else None


class SpeechOnset:
    """Finds the first speech that is sustained: `sustain_ms` of 10 ms blocks in a row, each above
    the threshold. Feed it the sound in pieces of any size.

    `start` is the sample position where that speech began, `None` until it has been sustained.
    """

    def __init__(self, rate: int, *, threshold_dbfs: float = -40.0, sustain_ms: int = 60) -> None:
        self.start: int | None = None
        self._block_bytes = 2 * rate // 100
        self._needed = -(-sustain_ms // 10)
        self._threshold = amplitude(threshold_dbfs)
        self._rest = b""
        self._position = 0
        self._run = 0

    def feed(self, sound: Pcm) -> int | None:
        """Adds sound and returns `start`."""
        data = self._rest + sound.data
        whole = len(data) - len(data) % self._block_bytes
        for offset in range(0, whole, self._block_bytes):
            self._block(data[offset : offset + self._block_bytes])
        self._rest = data[whole:]
        return self.start

    def _block(self, block: bytes) -> None:
        if self.start is not None:
            return
        self._run = self._run + 1 if rms(block) > self._threshold else 0
        self._position += self._block_bytes // 2
        if self._run == self._needed:
            self.start = self._position - self._needed * self._block_bytes // 2
