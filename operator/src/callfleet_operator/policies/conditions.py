"""Conditions: what was judged now, put beside what was said before."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from callfleet_operator.model import Condition

Truth = Literal["True", "False", "Unknown"]

MESSAGE_LIMIT = 1024


@dataclass(frozen=True)
class Finding:
    """A condition as it was judged, before it is known whether it is news."""

    type: str
    status: Truth
    reason: str
    message: str


def conditions(
    findings: Sequence[Finding], previous: Sequence[Condition], *, generation: int, now: str
) -> tuple[Condition, ...]:
    """Each finding as a condition. Its time is `now` only when its status differs from before.

    Conditions of the former status that are judged no longer are dropped.
    """
    before = {condition.type: condition for condition in previous}
    return tuple(
        Condition(
            type=finding.type,
            status=finding.status,
            observed_generation=generation,
            last_transition_time=_since(finding, before.get(finding.type), now),
            reason=finding.reason,
            message=finding.message[:MESSAGE_LIMIT],
        )
        for finding in findings
    )


def _since(finding: Finding, before: Condition | None, now: str) -> str:
    if before is not None and before.status == finding.status:
        return before.last_transition_time
    return now
