"""Buffers whose type says their rate."""

from __future__ import annotations

import numpy as np
import pytest

from callfleet_agent.audio import Pcm, Pcm8k, Pcm16k, Pcm22k, Pcm24k, Pcm48k


def test_a_buffer_knows_its_length_and_rate() -> None:
    assert len(Pcm16k(bytes(640))) == 320
    assert Pcm16k(bytes(640)).seconds == 0.02
    assert [kind.rate for kind in (Pcm8k, Pcm16k, Pcm22k, Pcm24k, Pcm48k)] == [
        8000, 16000, 22050, 24000, 48000,
    ]  # fmt: skip


def test_half_a_sample_is_refused() -> None:
    with pytest.raises(ValueError, match="even"):
        Pcm8k(b"x")


def test_buffers_of_different_rates_are_neither_equal_nor_added() -> None:
    wide: Pcm = Pcm16k(b"ab")
    assert wide != Pcm8k(b"ab")
    with pytest.raises(TypeError, match="rate"):
        Pcm8k(b"ab") + Pcm16k(b"ab")  # type: ignore[operator]


def test_buffers_of_one_rate_are_joined() -> None:
    assert Pcm8k(b"ab") + Pcm8k(b"cd") == Pcm8k(b"abcd")


def test_samples_are_little_endian_and_cannot_be_written() -> None:
    samples = Pcm8k(b"\x01\x00\xff\xff").samples
    assert samples.tolist() == [1, -1]
    with pytest.raises(ValueError, match="read-only"):
        samples[0] = 5


def test_numbers_are_rounded_and_limited() -> None:
    made = Pcm8k.from_samples(np.array([0.6, -0.6, 40000.0, -40000.0]))
    assert made.samples.tolist() == [1, -1, 32767, -32768]
    assert Pcm8k.from_samples(np.array([5], np.int16)).samples.tolist() == [5]


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [(0, None, b"aabbcc"), (1, 2, b"bb"), (-1, None, b"cc"), (2, 1, b""), (0, 99, b"aabbcc")],
)
def test_slices_count_samples(start: int, end: int | None, expected: bytes) -> None:
    assert Pcm8k(b"aabbcc").slice(start, end) == Pcm8k(expected)


def test_silence_is_zero() -> None:
    assert Pcm8k.silence(3) == Pcm8k(bytes(6))


def test_a_repr_shows_no_sound() -> None:
    assert "secret" not in repr(Pcm8k(b"secret"))
