"""Numbers that wrap."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callfleet_agent.rtp.arithmetic import (
    next_sequence,
    next_timestamp,
    sequence_delta,
    timestamp_delta,
)


@pytest.mark.parametrize(
    ("newer", "older", "delta"),
    [(1, 0, 1), (0, 65535, 1), (65535, 0, -1), (5, 65530, 11), (0, 32768, -32768), (7, 7, 0)],
)
def test_sequence_delta(newer: int, older: int, delta: int) -> None:
    assert sequence_delta(newer, older) == delta


@pytest.mark.parametrize(
    ("newer", "older", "delta"),
    [(160, 0, 160), (0, 2**32 - 160, 160), (2**32 - 1, 0, -1), (0, 2**31, -(2**31))],
)
def test_timestamp_delta(newer: int, older: int, delta: int) -> None:
    assert timestamp_delta(newer, older) == delta


@given(st.integers(0, 65535), st.integers(-32768, 32767))
def test_sequence_step_and_delta_are_inverse(start: int, step: int) -> None:
    assert sequence_delta(next_sequence(start, step), start) == step


@given(st.integers(0, 2**32 - 1), st.integers(-(2**31), 2**31 - 1))
def test_timestamp_step_and_delta_are_inverse(start: int, step: int) -> None:
    assert timestamp_delta(next_timestamp(start, step), start) == step
