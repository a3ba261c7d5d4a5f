"""The noise floor."""

from __future__ import annotations

import random

import pytest

from callfleet_agent.audio.level import dbfs
from callfleet_agent.audio.noise import NoiseFloor


@pytest.mark.parametrize("level", [-70.0, -60.0, -45.0])
def test_its_level_is_what_was_asked_for(level: float) -> None:
    assert dbfs(NoiseFloor(random.Random(1), level).frame(8000)) == pytest.approx(level, abs=1.0)


def test_a_seed_decides_it() -> None:
    first, second = (NoiseFloor(random.Random(7)) for _ in range(2))
    frames = [first.frame(160) for _ in range(3)]
    assert [second.frame(160) for _ in range(3)] == frames
    assert frames[0] != frames[1]


@pytest.mark.parametrize("samples", [0, 1, 160, 5000])
def test_it_has_any_length(samples: int) -> None:
    assert len(NoiseFloor(random.Random(1)).frame(samples)) == samples
