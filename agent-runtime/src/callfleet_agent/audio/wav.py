"""WAV files of mono, 16-bit sound."""

from __future__ import annotations

import io
import wave
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from callfleet_agent.audio.pcm import Pcm, Pcm8k, Pcm16k, Pcm22k, Pcm24k, Pcm48k

RATES: Final[Mapping[int, type[Pcm]]] = {
    kind.rate: kind for kind in (Pcm8k, Pcm16k, Pcm22k, Pcm24k, Pcm48k)
}


class WavError(ValueError):
    """A file that is not what is needed; the message tells a person what is wrong with it."""


def read_wav(source: str | Path | bytes) -> Pcm:
    """The sound of a file (or of its bytes), at its own rate. Raises WavError for what is no
    mono 16-bit WAV of a known rate or is cut short, and OSError for what cannot be read."""
    data = source if isinstance(source, bytes) else Path(source).read_bytes()
    try:
        with wave.open(io.BytesIO(data)) as file:
            return _read(file)
    except (wave.Error, EOFError) as error:
        raise WavError(f"not a PCM WAV file: {str(error) or 'it is cut short'}") from error


def write_wav(target: str | Path, sound: Pcm) -> None:
    """Writes a whole file."""
    Path(target).write_bytes(wav_bytes(sound))


def wav_bytes(sound: Pcm) -> bytes:
    """The bytes of a file."""
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(sound.rate)
        file.writeframes(sound.data)
    return buffer.getvalue()


def _read(file: wave.Wave_read) -> Pcm:
    if file.getnchannels() != 1:
        raise WavError(f"{file.getnchannels()} channels: it must be mono")
    if file.getsampwidth() != 2:
        raise WavError(f"{8 * file.getsampwidth()} bits: samples must have 16")
    kind = RATES.get(file.getframerate())
    if kind is None:
        rates = ", ".join(map(str, RATES))
        raise WavError(f"{file.getframerate()} Hz: the rate must be one of {rates}")
    data = file.readframes(file.getnframes())
    if len(data) != 2 * file.getnframes():
        raise WavError("it is cut short")
    return kind(data)
