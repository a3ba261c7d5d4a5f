"""WAV files in and out, and what is said of those that cannot be used."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from callfleet_agent.audio import Pcm, Pcm8k, Pcm16k, Pcm22k
from callfleet_agent.audio.wav import WavError, read_wav, wav_bytes, write_wav


@pytest.mark.parametrize("sound", [Pcm8k(b"abcd"), Pcm16k(b"abcd"), Pcm22k(b"abcd"), Pcm8k(b"")])
def test_a_file_keeps_sound_and_rate(sound: Pcm, tmp_path: Path) -> None:
    write_wav(tmp_path / "a.wav", sound)
    assert read_wav(tmp_path / "a.wav") == sound
    assert read_wav(str(tmp_path / "a.wav")) == sound


GOOD = wav_bytes(Pcm8k(bytes(200)))


def changed(offset: int, layout: str, value: int) -> bytes:
    data = bytearray(GOOD)
    struct.pack_into(layout, data, offset, value)
    return bytes(data)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "cut short"),
        (b"no WAV file at all, but text", "RIFF"),
        (GOOD[:30], "not a PCM WAV"),
        (GOOD[:-1], "cut short"),
        (GOOD[:-100], "cut short"),
        (changed(20, "<H", 7), "unknown format: 7"),
        (changed(22, "<H", 2), "2 channels"),
        (changed(34, "<H", 24), "24 bits"),
        (changed(24, "<I", 44100), "44100 Hz"),
    ],
)
def test_a_bad_file_says_what_is_wrong(data: bytes, message: str) -> None:
    with pytest.raises(WavError, match=message):
        read_wav(data)


def test_a_file_that_is_not_there_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_wav(tmp_path / "none.wav")
