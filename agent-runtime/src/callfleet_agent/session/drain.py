"""How a pod leaves without losing a call.

Two may ask for it. The operator sends what it wants (`serving` or `draining`, with the epoch of
its leadership) over and over, never a command; an older epoch is refused. Kubernetes sends SIGTERM,
at a moment when the SIP proxy may still send calls here: the pod goes on taking them until the
operator says that its row is confirmed inactive, at most five seconds, and refuses them after
that.

The process ends when it was told to terminate, the last call is over and the last SIP transaction
is done, which takes 64*T1 = 32 s at most (RFC 3261 section 17).
"""

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final, Self

from callfleet_agent.session.errors import StaleEpochError

ROW_WAIT_S: Final = 5.0
TRANSACTION_S: Final = 32.0


class PodIntent(StrEnum):
    """What the operator wants of the pod."""

    SERVING = "serving"
    DRAINING = "draining"


class PodPhase(StrEnum):
    """What the pod does."""

    SERVING = "serving"
    LEAVING = "leaving"  # SIGTERM seen; calls are still taken until the row is gone
    DRAINING = "draining"


@dataclass(frozen=True, slots=True)
class Drain:
    """The pod's way out, at one moment. Times are seconds on a monotonic clock."""

    epoch: int = 0
    intent: PodIntent = PodIntent.SERVING
    row_confirmed_inactive: bool = False
    terminated_at: float | None = None
    last_call_ended_at: float | None = None
    gone: bool = False

    def on_intent(self, epoch: int, intent: PodIntent, *, row_confirmed_inactive: bool) -> Self:
        """The state after the operator's word.

        Raises:
            StaleEpochError: the epoch is older than one already accepted.
        """
        if epoch < self.epoch:
            raise StaleEpochError(epoch, self.epoch)
        return replace(
            self, epoch=epoch, intent=intent, row_confirmed_inactive=row_confirmed_inactive
        )

    def on_terminate(self, *, at: float) -> Self:
        """The state after SIGTERM; a second one changes nothing."""
        return self if self.terminated_at is not None else replace(self, terminated_at=at)

    def on_call_ended(self, *, at: float) -> Self:
        """The state after a call ended."""
        return replace(self, last_call_ended_at=at)

    def on_exit(self) -> Self:
        """The state once the process leaves: no word of the operator brings calls back."""
        return replace(self, gone=True)

    def phase(self, *, now: float) -> PodPhase:
        """What the pod does now."""
        if self.gone or self.intent is PodIntent.DRAINING:
            return PodPhase.DRAINING
        if self.terminated_at is None:
            return PodPhase.SERVING
        if self.row_confirmed_inactive or now - self.terminated_at >= ROW_WAIT_S:
            return PodPhase.DRAINING
        return PodPhase.LEAVING

    def takes_calls(self, *, now: float) -> bool:
        """Whether a new call may come in."""
        return self.phase(now=now) is not PodPhase.DRAINING

    def may_exit(self, *, now: float, calls: int, idle: bool) -> bool:
        """Whether the process has nothing left to do; `idle` says that no transaction is left."""
        if self.terminated_at is None or calls or self.takes_calls(now=now):
            return False
        since = max(self.terminated_at, self.last_call_ended_at or self.terminated_at)
        return idle or now - since >= TRANSACTION_S
