"""Whether a status is worth a write, and the field that says so."""

from typing import Any

import pytest

from callfleet_operator.model import VoiceAgentStatus
from callfleet_operator.policies.status_diff import first_difference, should_write

NOW = 1000.0


def status(**fields: Any) -> VoiceAgentStatus:
    ready = {
        "type": "Ready",
        "status": "True",
        "reason": "AsWanted",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }
    base = {"replicas": 1, "calls": 3, "sip": {"numbers": ["100"]}, "conditions": [ready]}
    return VoiceAgentStatus.model_validate(base | fields)


OLD = status()
OTHER = [{**OLD.conditions[0].model_dump(by_alias=True), "reason": "Other"}]


@pytest.mark.parametrize(
    ("new", "field"),
    [
        (status(), None),
        (status(replicas=2), "status.replicas"),
        (status(sip={"setId": 5, "numbers": ["100"]}), "status.sip.setId"),
        (status(sip={"numbers": ["100", "101"]}), "status.sip.numbers"),
        (status(sip={"numbers": ["101"]}), "status.sip.numbers[0]"),
        (status(sip=None), "status.sip"),
        (status(conditions=OTHER), "status.conditions[0].reason"),
        (status(replicas=2, calls=9), "status.replicas"),
    ],
)
def test_the_first_field_that_differs(new: VoiceAgentStatus, field: str | None) -> None:
    assert first_difference(OLD, new) == field


def test_a_field_that_is_gone_differs() -> None:
    old = status(sip={"setId": 5, "numbers": ["100"]})
    assert first_difference(old, status()) == "status.sip.setId"


def test_a_first_status_differs() -> None:
    assert first_difference(None, OLD) == "status.observedGeneration"


@pytest.mark.parametrize(
    ("case", "old", "new", "written_at", "write", "again", "field"),
    [
        ("nothing differs", OLD, status(), NOW - 1, False, None, ""),
        ("the first status", None, OLD, None, True, None, "status.observedGeneration"),
        ("calls, never written", OLD, status(calls=4), None, True, None, "status.calls"),
        ("calls, just written", OLD, status(calls=4), NOW - 5, False, 10.0, "status.calls"),
        ("calls, due", OLD, status(calls=4), NOW - 15, True, None, "status.calls"),
        ("more than calls", OLD, status(calls=4, replicas=2), NOW, True, None, "status.replicas"),
    ],
)
def test_calls_are_written_now_and_then_and_the_rest_at_once(
    case: str,
    old: VoiceAgentStatus | None,
    new: VoiceAgentStatus,
    written_at: float | None,
    write: bool,
    again: float | None,
    field: str,
) -> None:
    verdict = should_write(old, new, calls_written_at=written_at, now=NOW)
    assert (verdict.write, verdict.again_after_s, verdict.reason) == (write, again, field), case
