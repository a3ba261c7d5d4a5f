"""A call comes in only if the pod is up, serving, not full, and somebody can talk."""

from dataclasses import replace

import pytest

from callfleet_agent.session import Admission, Refusal, admit

ROOM = Admission(started=True, draining=False, calls=19, capacity=20, ready_workers=1)


def test_there_is_room() -> None:
    assert admit(ROOM) is None


@pytest.mark.parametrize(
    ("admission", "reason"),
    [
        (replace(ROOM, started=False), Refusal.NOT_READY),
        (replace(ROOM, draining=True), Refusal.DRAINING),
        (replace(ROOM, calls=20), Refusal.FULL),
        (replace(ROOM, calls=21), Refusal.FULL),
        (replace(ROOM, ready_workers=0), Refusal.NO_WORKER),
        (replace(ROOM, draining=True, calls=20, ready_workers=0), Refusal.DRAINING),
    ],
)
def test_a_refusal_has_its_first_reason_and_says_when_to_come_again(
    admission: Admission, reason: Refusal
) -> None:
    refused = admit(admission)
    assert refused is not None
    assert (refused.reason, refused.status) == (reason, 503)
    assert refused.retry_after_s > 0
