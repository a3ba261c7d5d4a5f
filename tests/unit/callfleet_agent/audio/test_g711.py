"""G.711 as ITU-T G.711 has it."""

from __future__ import annotations

import numpy as np
import pytest

from callfleet_agent.audio import Pcm8k
from callfleet_agent.audio.g711 import Law, decode, encode


@pytest.mark.parametrize(
    ("law", "code", "value"),
    [
        (Law.PCMU, 0xFF, 0),
        (Law.PCMU, 0x7F, 0),
        (Law.PCMU, 0x80, 32124),
        (Law.PCMU, 0x00, -32124),
        (Law.PCMA, 0xD5, 8),
        (Law.PCMA, 0x55, -8),
        (Law.PCMA, 0xAA, 32256),
        (Law.PCMA, 0x2A, -32256),
    ],
)
def test_known_codes(law: Law, code: int, value: int) -> None:
    assert decode(bytes((code,)), law).samples.tolist() == [value]


@pytest.mark.parametrize("law", Law)
def test_every_code_survives_a_round_trip(law: Law) -> None:
    values = decode(bytes(range(256)), law)
    assert decode(encode(values, law), law) == values


@pytest.mark.parametrize("law", Law)
def test_speech_keeps_36_db_over_its_quantisation_noise(law: Law) -> None:
    tone = Pcm8k.from_samples(8000 * np.sin(2 * np.pi * 1000.3 / 8000 * np.arange(8000)))
    heard = decode(encode(tone, law), law).samples.astype(float)
    noise = heard - tone.samples
    assert 10 * np.log10(np.mean(heard**2) / np.mean(noise**2)) > 36
