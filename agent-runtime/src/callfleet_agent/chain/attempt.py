"""One request to one provider: its states, and until when something must happen."""

from dataclasses import dataclass
from enum import Enum, auto

from callfleet_agent.chain.faults import Fault
from callfleet_agent.chain.limits import Limits


class AttemptState(Enum):
    """Where a request stands."""

    CONNECTING = auto()
    WAITING = auto()  # connected, nothing has come
    FLOWING = auto()
    DONE = auto()
    FAILED = auto()
    CANCELLED = auto()


class AttemptEvent(Enum):
    """What happens to a request."""

    CONNECTED = auto()
    PIECE = auto()
    END = auto()
    FAULT = auto()
    CANCEL = auto()


_S, _E = AttemptState, AttemptEvent
TABLE: dict[AttemptState, dict[AttemptEvent, AttemptState]] = {
    _S.CONNECTING: {
        _E.CONNECTED: _S.WAITING, _E.PIECE: _S.FLOWING, _E.END: _S.FAILED,
        _E.FAULT: _S.FAILED, _E.CANCEL: _S.CANCELLED,
    },
    _S.WAITING: {
        _E.PIECE: _S.FLOWING, _E.END: _S.FAILED, _E.FAULT: _S.FAILED, _E.CANCEL: _S.CANCELLED,
    },
    _S.FLOWING: {
        _E.PIECE: _S.FLOWING, _E.END: _S.DONE, _E.FAULT: _S.FAILED, _E.CANCEL: _S.CANCELLED,
    },
    _S.DONE: {},
    _S.FAILED: {},
    _S.CANCELLED: {},
}  # fmt: skip
"""What is not in the table changes nothing: it came too late, or twice."""

_LATE = {
    _S.CONNECTING: Fault.SLOW_CONNECT,
    _S.WAITING: Fault.SLOW_FIRST,
    _S.FLOWING: Fault.STALLED,
}


@dataclass(slots=True)
class Attempt:
    """A request's state. An end before the first piece is a failure: the answer was empty."""

    limits: Limits
    began: float
    state: AttemptState = AttemptState.CONNECTING
    _last: float = 0.0

    @property
    def live(self) -> bool:
        """Whether anything may still come of it."""
        return bool(TABLE[self.state])

    def on(self, event: AttemptEvent, now: float) -> bool:
        """Takes the event; False when it came too late to matter."""
        following = TABLE[self.state].get(event)
        if following is None:
            return False
        self.state = following
        self._last = now
        return True

    @property
    def quiet_since(self) -> float:
        """When something came last."""
        return self._last

    @property
    def due(self) -> float | None:
        """When its time is up; None when it is over."""
        if not self.live:
            return None
        until = {
            AttemptState.CONNECTING: self.began + self.limits.connect_s,
            AttemptState.WAITING: self.began + self.limits.first_s,
            AttemptState.FLOWING: self._last + self.limits.gap_s,
        }[self.state]
        return min(until, self.began + self.limits.total_s)

    def overdue(self, now: float) -> Fault | None:
        """Which limit has passed at `now`."""
        due = self.due
        if due is None or now < due:
            return None
        if due == self.began + self.limits.total_s:
            return Fault.TOO_LONG
        return _LATE[self.state]
