"""What the caller says, by espeak-ng or from a file."""

import asyncio
from pathlib import Path

from callfleet_agent.app.errors import AppError
from callfleet_agent.app.preflight import need_espeak
from callfleet_agent.audio import Pcm8k
from callfleet_agent.audio.resample import resample
from callfleet_agent.audio.wav import WavError, read_wav

_HEADER_BYTES = 44


async def speak(text: str, voice: str = "en-gb", words_per_minute: int = 150) -> Pcm8k:
    """`text` as speech.

    Raises:
        AppError: espeak-ng is missing or fails.
    """
    process = await asyncio.create_subprocess_exec(
        need_espeak(),
        "--stdin",
        "--stdout",
        "-v",
        voice,
        "-s",
        str(words_per_minute),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    wav, complaint = await process.communicate(text.encode())
    if process.returncode or not wav:
        raise AppError(f"espeak-ng failed: {complaint.decode(errors='replace').strip()[:200]}")
    return resample(read_wav(_sized(wav)), Pcm8k)


def _sized(wav: bytes) -> bytes:
    """espeak-ng cannot seek in a pipe, so that its header says a length that is not known."""
    header, data = wav[:_HEADER_BYTES], wav[_HEADER_BYTES:]
    data = data[: len(data) & ~1]
    return b"".join(
        (
            header[:4],
            (len(data) + _HEADER_BYTES - 8).to_bytes(4, "little"),
            header[8:-4],
            len(data).to_bytes(4, "little"),
            data,
        )
    )


def from_file(path: Path) -> Pcm8k:
    """The sound of a WAV file.

    Raises:
        AppError: it cannot be read.
    """
    try:
        return resample(read_wav(path), Pcm8k)
    except (OSError, WavError) as error:
        raise AppError(f"cannot play {path}: {error}") from error
