"""The steps by which a pod leaves."""

from dataclasses import replace

import pytest

from callfleet_operator.policies.drain import DrainFacts, DrainStep, drain_step
from callfleet_operator.policies.views import PodView, ReportView, Seen

NOW = 1000.0
POD = PodView("a", "u", "r", ip="10.0.0.1", containers_ready=True, gate=False, draining_since=990.0)
SERVING = ReportView("u", calls=2, capacity=20)
DRAINING = ReportView("u", draining=True, calls=2, capacity=20)
START = DrainFacts(
    pod=POD,
    report=SERVING,
    seen=Seen.ACTIVE,
    inactive_since=None,
    probe_interval_s=1.0,
    drain_timeout_s=600.0,
    now=NOW,
)
OUT = replace(START, seen=Seen.INACTIVE, inactive_since=NOW - 5)
NEW = PodView("n", "n", "r", draining_since=999.0)

# what is known, the step, whether the pod is told, when to look again, and why
STEPS = [
    ("row active", START, DrainStep.ROW, False, 1.0, "RowActive"),
    ("row unknown", replace(OUT, seen=Seen.UNKNOWN), DrainStep.ROW, False, 1.0, "RowActive"),
    ("row probed", replace(OUT, seen=Seen.PROBING), DrainStep.ROW, False, 1.0, "RowActive"),
    (
        "out, since when is not known",
        replace(OUT, inactive_since=None),
        DrainStep.ROW,
        False,
        1.0,
        "RowActive",
    ),
    (
        "out, seen once",
        replace(OUT, inactive_since=NOW - 0.25),
        DrainStep.CONFIRM,
        False,
        0.75,
        "RowInactive",
    ),
    (
        "absent, seen once",
        replace(OUT, seen=Seen.ABSENT, inactive_since=NOW),
        DrainStep.TELL,
        True,
        590.0,
        "Telling",
    ),
    ("out, seen twice", OUT, DrainStep.TELL, True, 590.0, "Telling"),
    ("not heard", replace(OUT, report=None), DrainStep.TELL, True, 590.0, "Telling"),
    (
        "heard no more",
        replace(OUT, report=replace(DRAINING, heard=False)),
        DrainStep.TELL,
        True,
        590.0,
        "Telling",
    ),
    ("told, with calls", replace(OUT, report=DRAINING), DrainStep.CALLS, True, 590.0, "CallsGoOn"),
    (
        "told, empty",
        replace(OUT, report=replace(DRAINING, calls=0)),
        DrainStep.DONE,
        True,
        None,
        "Empty",
    ),
    (
        "waited long enough",
        replace(OUT, report=DRAINING, drain_timeout_s=10.0),
        DrainStep.DONE,
        True,
        None,
        "TimedOut",
    ),
    (
        "overdue, but the row is active",
        replace(START, drain_timeout_s=0),
        DrainStep.ROW,
        False,
        1.0,
        "RowActive",
    ),
    (
        "never ran",
        replace(OUT, pod=NEW, report=None, seen=Seen.ABSENT),
        DrainStep.DONE,
        True,
        None,
        "NeverServed",
    ),
    (
        "ended by Kubernetes",
        replace(OUT, pod=replace(POD, draining_since=None, terminating_since=995.0)),
        DrainStep.TELL,
        True,
        595.0,
        "Telling",
    ),
    (
        "ended by Kubernetes after we asked it to leave",
        replace(OUT, pod=replace(POD, terminating_since=995.0)),
        DrainStep.TELL,
        True,
        590.0,
        "Telling",
    ),
    (
        "of nobody's asking",
        replace(OUT, pod=replace(POD, draining_since=None)),
        DrainStep.TELL,
        True,
        600.0,
        "Telling",
    ),
]


@pytest.mark.parametrize(
    ("facts", "step", "told", "again", "reason"),
    [case[1:] for case in STEPS],
    ids=[case[0] for case in STEPS],
)
def test_what_is_next_for_a_pod_that_leaves(
    facts: DrainFacts, step: DrainStep, told: bool, again: float | None, reason: str
) -> None:
    verdict = drain_step(facts)
    assert (verdict.step, verdict.tell_draining, verdict.row_confirmed_inactive) == (
        step,
        told,
        told,
    )
    assert (verdict.again_after_s, verdict.reason) == (again, reason)
    assert verdict.message
