"""Sound as values: buffers whose type says their rate, G.711, levels, noise, resampling, WAV.

Pure: no clock, no sockets; randomness is an argument.
"""

from callfleet_agent.audio.pcm import (
    FRAME_MS,
    FRAME_SAMPLES,
    FrameKind,
    Pcm,
    Pcm8k,
    Pcm16k,
    Pcm22k,
    Pcm24k,
    Pcm48k,
)

__all__ = [
    "FRAME_MS",
    "FRAME_SAMPLES",
    "FrameKind",
    "Pcm",
    "Pcm8k",
    "Pcm16k",
    "Pcm22k",
    "Pcm24k",
    "Pcm48k",
]
