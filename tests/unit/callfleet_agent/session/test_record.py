"""The record of a call, and the ids that carry their time."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callfleet_agent.session.errors import SessionEndedError
from callfleet_agent.session.identifiers import first_of, uuid7
from callfleet_agent.session.record import FINAL, CallSession, SessionStatus

NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)
SESSION = CallSession(session_id=UUID(int=1), sip_call_id="a", call_start_time=NOON)


@pytest.mark.parametrize("status", sorted(FINAL))
def test_an_end_is_final_and_the_first_one_counts(status: SessionStatus) -> None:
    ended = SESSION.ended(status, NOON + timedelta(minutes=1))
    assert (ended.status, ended.version) == (status, 2)
    assert ended.ended(SessionStatus.FAILED, NOON + timedelta(hours=1)) is ended
    with pytest.raises(SessionEndedError):
        ended.changed(at=NOON, avc_instance="x")


def test_a_call_ends_no_earlier_than_it_began_and_not_by_being_active() -> None:
    early = SESSION.ended(SessionStatus.COMPLETED, NOON - timedelta(hours=1))
    assert early.call_end_time == NOON
    with pytest.raises(ValueError, match="ends no session"):
        SESSION.ended(SessionStatus.ACTIVE, NOON)


def test_only_what_is_given_changes() -> None:
    moved = SESSION.changed(at=NOON, avc_instance="pod-2")
    configured = moved.changed(at=NOON, ai_provider_config={"asr": ["x"]})
    failed = configured.changed(at=NOON, status=SessionStatus.FAILED)
    assert (configured.avc_instance, configured.version) == ("pod-2", 3)
    assert configured.ai_provider_config == {"asr": ["x"]}
    assert (failed.status, failed.call_end_time) == (SessionStatus.FAILED, NOON)


def test_a_number_is_not_shown() -> None:
    assert "5550" not in repr(
        CallSession(
            session_id=UUID(int=1), sip_call_id="a", call_start_time=NOON, caller_phone="+15550"
        )
    )


@given(st.integers(0, 2**48 - 1), st.integers(0, 2**80))
def test_ids_are_of_version_7_and_sort_by_time(ms: int, randomness: int) -> None:
    made = uuid7(ms, randomness)
    assert (made.version, made.variant) == (7, "specified in RFC 4122")
    assert made.int >> 80 == ms
    if ms:
        assert uuid7(ms - 1, ~0 & (2**74 - 1)) < made


def test_the_vector_of_the_rfc() -> None:
    """RFC 9562, A.6."""
    randomness = 0xCC3 << 62 | 0x18C4DC0C0C07398F
    assert uuid7(0x017F22E279B0, randomness) == UUID("017F22E2-79B0-7CC3-98C4-DC0C0C07398F")


def test_the_first_id_of_a_moment_is_not_after_any_of_it() -> None:
    ms = int(NOON.timestamp() * 1000)
    assert uuid7(ms - 1, 2**74 - 1) < first_of(NOON) <= uuid7(ms, 0)
    with pytest.raises(ValueError, match="outside"):
        uuid7(-1, 0)
