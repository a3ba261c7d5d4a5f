"""What a pod says of itself, as the decisions see it."""

from dataclasses import replace

from callfleet_operator.ports.pods import PodFigures, PodState
from callfleet_operator.reconcile.views import report_view

DRAINING = PodFigures(
    uid="u1",
    state=PodState.DRAINING,
    calls=0,
    capacity=20,
    terminating=False,
    revision="",
    received_at=0.0,
)


def test_a_pod_drains_when_it_says_so_in_answer_to_what_it_was_asked_last() -> None:
    assert report_view(DRAINING).draining
    assert not report_view(replace(DRAINING, answered=False)).draining
    assert not report_view(replace(DRAINING, state=PodState.SERVING)).draining
