"""Buffers of signed 16-bit little-endian mono sound; the type says the sample rate."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from typing import ClassVar, Self

import numpy as np
import numpy.typing as npt

FRAME_MS = 20
FRAME_SAMPLES = 160  # of 8 kHz sound in a frame of 20 ms

Samples = npt.NDArray[np.int16]


class FrameKind(IntEnum):
    """Where a frame of inbound sound comes from; the numbers are those of the link protocol."""

    REAL = 0
    CONCEALED = 1
    NOISE = 2


@dataclass(frozen=True, slots=True)
class Pcm:
    """Immutable sound at the rate of its class. `data` is s16le; its repr shows only the length.

    Raises ValueError for half a sample. Two buffers can be added only when their rates agree.
    """

    rate: ClassVar[int]
    data: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if len(self.data) & 1:
            raise ValueError("a buffer of 16-bit samples has an even number of bytes")

    @classmethod
    def silence(cls, samples: int) -> Self:
        """Digital zero; for a line use `audio.noise`, recognisers mishear digital silence."""
        return cls(bytes(2 * samples))

    @classmethod
    def from_samples(cls, samples: npt.NDArray[np.generic]) -> Self:
        """From numbers on the int16 scale, rounded and limited to its range."""
        if samples.dtype != np.int16:
            samples = np.clip(np.rint(samples), -32768, 32767)
        return cls(samples.astype("<i2", copy=False).tobytes())

    @property
    def samples(self) -> Samples:
        """A read-only view of the samples."""
        return np.frombuffer(self.data, dtype="<i2")

    @property
    def seconds(self) -> float:
        return len(self) / self.rate

    def __len__(self) -> int:
        """The number of samples."""
        return len(self.data) // 2

    def __add__(self, other: Self) -> Self:
        if type(other) is not type(self):
            raise TypeError(f"{type(self).__name__} and {type(other).__name__} differ in rate")
        return type(self)(self.data + other.data)

    def slice(self, start: int, end: int | None = None) -> Self:
        """The samples from `start` to before `end`; negative numbers count from the end."""
        first, last, _ = slice(start, end).indices(len(self))
        return type(self)(self.data[2 * first : 2 * max(first, last)])


class Pcm8k(Pcm):
    """Sound of the telephone network, 8 kHz."""

    __slots__ = ()
    rate = 8000


class Pcm16k(Pcm):
    """Sound for recognition and voice activity detection, 16 kHz."""

    __slots__ = ()
    rate = 16000


class Pcm22k(Pcm):
    """What espeak-ng and Piper speak, 22.05 kHz."""

    __slots__ = ()
    rate = 22050


class Pcm24k(Pcm):
    """What hosted voices speak, 24 kHz."""

    __slots__ = ()
    rate = 24000


class Pcm48k(Pcm):
    """What browsers send, 48 kHz."""

    __slots__ = ()
    rate = 48000
