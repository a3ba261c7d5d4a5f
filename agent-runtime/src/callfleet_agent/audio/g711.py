"""G.711: one byte a sample, mu-law and A-law (ITU-T G.711)."""

from __future__ import annotations

from enum import Enum

from callfleet_agent.audio import _audioop
from callfleet_agent.audio.pcm import Pcm8k


class Law(Enum):
    """The two companding laws, named as in SDP (RFC 3551, 4.5.14)."""

    PCMU = "PCMU"
    PCMA = "PCMA"


def encode(sound: Pcm8k, law: Law) -> bytes:
    """One byte for each sample."""
    if law is Law.PCMU:
        return _audioop.lin2ulaw(sound.data, 2)
    return _audioop.lin2alaw(sound.data, 2)


def decode(payload: bytes, law: Law) -> Pcm8k:
    """One sample for each byte; every byte is a valid code."""
    if law is Law.PCMU:
        return Pcm8k(_audioop.ulaw2lin(payload, 2))
    return Pcm8k(_audioop.alaw2lin(payload, 2))
