"""Merging what a call has learned: bounded, guarded, and forgotten in time."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from callfleet_agent.context.conversation import (
    MAX_HISTORY_BYTES,
    MAX_MESSAGES,
    Addition,
    ConversationContext,
    Exchange,
    Speaker,
    merged,
)
from callfleet_agent.context.errors import ContextTooLargeError, VersionConflictError

NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)
EMPTY = ConversationContext(
    context_id=UUID(int=1),
    session_id=UUID(int=2),
    last_updated=NOON,
    expires_at=NOON + timedelta(minutes=30),
)


def says(text: str) -> Exchange:
    return Exchange(speaker=Speaker.CALLER, content=text)


def test_what_is_absent_stays_and_none_forgets() -> None:
    first = merged(EMPTY, Addition(current_intent="card", customer_data={"a": 1, "b": 2}), NOON)
    second = merged(first, Addition(append=(says("x"),), customer_data={"a": None}), NOON)
    assert (second.current_intent, dict(second.customer_data)) == ("card", {"b": 2})
    assert (second.version, len(second.history)) == (2, 1)


def test_a_lost_update_is_refused_and_0_does_not_check() -> None:
    first = merged(EMPTY, Addition(), NOON)
    assert merged(first, Addition(expected_version=1), NOON).version == 2
    with pytest.raises(VersionConflictError):
        merged(first, Addition(expected_version=2), NOON)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(1, 16_384), max_size=60), st.integers(0, 250))
def test_the_oldest_goes_first_and_the_newest_stays(sizes: list[int], more: int) -> None:
    history = tuple(says("x" * size) for size in sizes) + tuple(map(says, map(str, range(more))))
    kept = merged(EMPTY, Addition(append=history), NOON).history
    assert kept == history[len(history) - len(kept) :]
    assert len(kept) <= MAX_MESSAGES
    assert sum(len(one.content) for one in kept) <= MAX_HISTORY_BYTES
    assert bool(kept) == bool(history)


def test_facts_are_bounded() -> None:
    with pytest.raises(ContextTooLargeError):
        merged(EMPTY, Addition(customer_data={"a": "x" * 70_000}), NOON)


def test_a_memory_whose_time_is_over_is_empty_and_lives_again() -> None:
    old = merged(EMPTY, Addition(append=(says("x"),), customer_data={"a": 1}), NOON)
    later = NOON + timedelta(hours=1)
    fresh = merged(old, Addition(append=(says("y"),)), later)
    assert old.is_expired(later)
    assert [one.content for one in fresh.history] == ["y"]
    assert not fresh.customer_data
    assert fresh.expires_at == later + timedelta(minutes=30)


def test_the_newest_exchanges() -> None:
    context = replace(EMPTY, history=(says("a"), says("b")))
    assert context.newest(1).history == (says("b"),)
    assert context.newest(0) is context
    assert "SPOKEN" not in repr(says("SPOKEN"))
