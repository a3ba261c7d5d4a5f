"""A noise floor: a line that is digitally silent sounds dead to people and deaf to recognisers."""

from __future__ import annotations

from typing import Final

import numpy as np

from callfleet_agent.audio.level import amplitude
from callfleet_agent.audio.pcm import Pcm8k
from callfleet_agent.audio.randomness import Randomness

DEFAULT_DBFS: Final = -60.0
_TABLE = 4096


class NoiseFloor:
    """White Gaussian noise of `dbfs` (RMS), from a table at random places: 20 ms cost 1 us.

    `rng` decides everything: the same seed gives the same noise.
    """

    def __init__(self, rng: Randomness, dbfs: float = DEFAULT_DBFS) -> None:
        self._rng = rng
        generator = np.random.default_rng(rng.getrandbits(64))
        table = generator.normal(scale=amplitude(dbfs), size=_TABLE)
        self._table = Pcm8k.from_samples(table).data

    def frame(self, samples: int) -> Pcm8k:
        """The next `samples` of noise."""
        return Pcm8k(self.take(samples))

    def take(self, samples: int) -> bytes:
        """As `frame`, as bytes of s16le."""
        data = b""
        while (missing := 2 * samples - len(data)) > 0:
            start = 2 * self._rng.randrange(_TABLE // 2)
            data += self._table[start : start + missing]
        return data
