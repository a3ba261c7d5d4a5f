"""May a caller go on with an earlier call? An ordered chain of small checks, each with its reason.

What carries over is what was wanted and who the caller said to be; that it was proved does not. So
a wrong yes costs a question that the caller answers with no, and a wrong no costs nothing but time.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from callfleet_agent.session.record import CallSession, SessionStatus

WITHIN: Final = timedelta(minutes=5)
LONGEST_WITHIN: Final = timedelta(minutes=30)
# Who is heard in a call takes a turn every few seconds, silence included. A pod that died tells
# nothing any more; one that lives and is told apart by this alone would have been slower than that.
QUIET: Final = timedelta(seconds=15)


class Unfit(StrEnum):
    """Why an earlier call is not gone on with: a bounded set, for a metric."""

    NONE = "none"  # the caller has not called before
    ENDED = "ended"  # it came to its end
    LONG_AGO = "long-ago"
    GOES_ON = "goes-on"  # somebody talks in it
    NOTHING = "nothing"  # nothing was wanted yet
    UNTRUSTED = "untrusted"  # nobody vouched for its caller's number


@dataclass(frozen=True, slots=True, kw_only=True)
class EarlierCall:
    """An earlier call, as far as its record tells, at `now`. `told_at`: when something was last
    told of it; `vouched`: the caller's number, or the same Call-ID, stands for the caller."""

    session: CallSession
    told_at: datetime
    now: datetime
    wanted: str = ""
    vouched: bool = False
    within: timedelta = WITHIN

    @property
    def broke_off_at(self) -> datetime:
        """Its end, or its last sign of life."""
        end = self.session.call_end_time
        return self.told_at if end is None else end

    @property
    def is_lively(self) -> bool:
        """Whether it has not ended, and was told of a moment ago."""
        active = self.session.status is SessionStatus.ACTIVE
        return active and self.now - self.told_at < QUIET


_BROKEN: Final = frozenset({SessionStatus.ACTIVE, SessionStatus.INTERRUPTED})
_CHECKS: Final[tuple[tuple[Unfit, Callable[[EarlierCall], bool]], ...]] = (
    (Unfit.ENDED, lambda call: call.session.status not in _BROKEN),
    (Unfit.LONG_AGO, lambda call: call.now - call.broke_off_at > call.within),
    (Unfit.GOES_ON, lambda call: call.is_lively),
    (Unfit.UNTRUSTED, lambda call: not call.vouched),
    (Unfit.NOTHING, lambda call: not call.wanted),
)


def unfit(call: EarlierCall) -> Unfit | None:
    """None if the caller may be offered to go on, else the first reason against it."""
    for reason, applies in _CHECKS:
        if applies(call):
            return reason
    return None


def broke_off(session: CallSession, now: datetime, within: timedelta) -> bool:
    """Whether a session may have broken off a moment ago, as far as it can be told without its
    context: it was interrupted then, or it never ended."""
    if session.status is SessionStatus.INTERRUPTED:
        return now - (session.call_end_time or session.call_start_time) <= within
    return session.status is SessionStatus.ACTIVE
