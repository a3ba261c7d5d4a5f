"""The steps by which a pod leaves without losing a call.

Row inactive → read back, again after a probe interval → pod told → last call ends → pod released.
An OPTIONS in flight can make a row active again, hence the second look.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from .views import PodView, ReportView, Seen, Verdict


class DrainStep(StrEnum):
    """How far a pod is on its way out."""

    ROW = "row"  # the proxy may still send it calls
    CONFIRM = "confirm"  # it does not, by one look
    TELL = "tell"  # it does not, by two looks: the pod is told
    CALLS = "calls"  # the pod knows, and has calls
    DONE = "done"  # nothing holds the pod any more


@dataclass(frozen=True)
class DrainFacts:
    """What a drain is judged by. Since `inactive_since` every look said inactive or absent."""

    pod: PodView
    report: ReportView | None
    seen: Seen
    inactive_since: float | None
    probe_interval_s: float
    drain_timeout_s: float
    now: float

    @property
    def started(self) -> float:
        """When it began to leave."""
        times = (self.pod.draining_since, self.pod.terminating_since)
        return min((time for time in times if time is not None), default=self.now)

    @property
    def overdue_s(self) -> float:
        """Seconds until calls are no longer waited for; 0 or less when that time has come."""
        return self.started + self.drain_timeout_s - self.now


@dataclass(frozen=True)
class DrainVerdict(Verdict):
    """The step of a pod and what to do about it now."""

    step: DrainStep = DrainStep.ROW
    tell_draining: bool = False
    row_confirmed_inactive: bool = False
    again_after_s: float | None = None


def _row_is_not_out(facts: DrainFacts) -> DrainVerdict | None:
    if facts.seen.out and facts.inactive_since is not None:
        return None
    return DrainVerdict(
        "RowActive",
        "the SIP proxy may still send calls to this pod",
        again_after_s=facts.probe_interval_s,
    )


def _one_look_is_not_enough(facts: DrainFacts) -> DrainVerdict | None:
    since = facts.inactive_since if facts.inactive_since is not None else facts.now
    left = since + facts.probe_interval_s - facts.now
    if left <= 0 or facts.seen is Seen.ABSENT:
        return None
    return DrainVerdict(
        "RowInactive",
        "the SIP proxy sends no calls to this pod; it is looked at once more",
        step=DrainStep.CONFIRM,
        again_after_s=left,
    )


def _waited_long_enough(facts: DrainFacts) -> DrainVerdict | None:
    if facts.overdue_s > 0:
        return None
    return _told(DrainStep.DONE, "TimedOut", "its calls were waited for long enough")


def _never_heard_of(facts: DrainFacts) -> DrainVerdict | None:
    """A pod that never ran has no calls."""
    if facts.report is not None or facts.pod.containers_ready or facts.pod.gate is not None:
        return None
    return _told(DrainStep.DONE, "NeverServed", "this pod never took calls")


def _does_not_know_yet(facts: DrainFacts) -> DrainVerdict | None:
    report = facts.report
    if report is not None and report.heard and report.draining:
        return None
    message = "the pod is told that it drains"
    return _told(DrainStep.TELL, "Telling", message, facts.overdue_s)


def _has_calls(facts: DrainFacts) -> DrainVerdict | None:
    calls = facts.report.calls if facts.report is not None else 0
    if calls == 0:
        return None
    return _told(DrainStep.CALLS, "CallsGoOn", f"{calls} calls go on in this pod", facts.overdue_s)


def _told(
    step: DrainStep,
    reason: str,
    message: str,
    again_after_s: float | None = None,
) -> DrainVerdict:
    return DrainVerdict(
        reason,
        message,
        step=step,
        tell_draining=True,
        row_confirmed_inactive=True,
        again_after_s=again_after_s,
    )


_EMPTY = _told(DrainStep.DONE, "Empty", "the last call of this pod has ended")
DRAIN_CHECKS: tuple[Callable[[DrainFacts], DrainVerdict | None], ...] = (
    _row_is_not_out,
    _one_look_is_not_enough,
    _waited_long_enough,
    _never_heard_of,
    _does_not_know_yet,
    _has_calls,
)


def drain_step(facts: DrainFacts) -> DrainVerdict:
    """What is next for a pod that leaves, whether we or Kubernetes asked it to.

    While the proxy cannot be asked, nothing is confirmed and nothing happens: a pod that
    Kubernetes ends has its own time limits.
    """
    told = (verdict for check in DRAIN_CHECKS if (verdict := check(facts)) is not None)
    return next(told, _EMPTY)
