"""Both sides of a call in a stereo WAV file: the caller on the left, the agent on the right.

The clock is what was sent, one frame every 20 ms; received sound is placed by its own arrival at
the phone's ear, that is, after its jitter buffer, which runs on the same clock.
"""

import wave
from pathlib import Path

import numpy as np

from callfleet_agent.audio import Pcm8k


class Recording:
    """Collects frames of both sides."""

    def __init__(self) -> None:
        self._left = bytearray()
        self._right = bytearray()

    def add(self, sent: Pcm8k, heard: Pcm8k) -> None:
        """One tick of the call."""
        self._left += sent.data
        self._right += heard.data

    @property
    def heard(self) -> Pcm8k:
        """The agent's side alone."""
        return Pcm8k(bytes(self._right))

    @property
    def seconds(self) -> float:
        """How long the recording is."""
        return len(self._left) / 2 / Pcm8k.rate

    def write(self, path: Path) -> None:
        """Write the WAV file, 8 kHz, 16 bit, two channels.

        Raises:
            OSError: the file cannot be written.
        """
        both = np.stack(
            [np.frombuffer(bytes(side), dtype="<i2") for side in (self._left, self._right)], axis=1
        )
        with wave.open(str(path), "wb") as file:
            file.setnchannels(2)
            file.setsampwidth(2)
            file.setframerate(Pcm8k.rate)
            file.writeframes(both.tobytes())
