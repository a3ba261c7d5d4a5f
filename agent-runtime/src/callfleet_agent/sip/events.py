"""What a user agent tells its owner."""

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from callfleet_agent.sip.sdp import SessionDescription

if TYPE_CHECKING:
    from callfleet_agent.sip.call import Call


class EndCause(Enum):
    """Why an answered call ended."""

    REMOTE = "remote"  # the other side sent BYE
    LOCAL = "local"  # we did, and it was answered or timed out
    NO_ACK = "no_ack"  # our 200 was never acknowledged
    SESSION_EXPIRED = "session_expired"  # nobody refreshed the session (RFC 4028)
    TRANSPORT = "transport"  # the other side cannot be reached or lost the dialog


@dataclass(frozen=True, slots=True)
class IncomingCall:
    """Someone calls; ``offer`` is None when the INVITE carries none: then we offer in the 200."""

    call: "Call"
    offer: SessionDescription | None


@dataclass(frozen=True, slots=True)
class Established:
    """Our 200 was acknowledged. ``answer`` is there only where the 200 carried our offer.

    ``initial`` is False for the ACK of a re-INVITE.
    """

    call: "Call"
    answer: SessionDescription | None
    initial: bool


@dataclass(frozen=True, slots=True)
class CallCancelled:
    """The caller gave up before we answered."""

    call: "Call"


@dataclass(frozen=True, slots=True)
class CallEnded:
    """An answered call is over; comes exactly once. ``status``: how our BYE was answered.

    ``answered`` is False where the status is our own word: no response came. BYEs that cross are
    a proper end, LOCAL with 200, whatever their side says to ours.
    """

    call: "Call"
    cause: EndCause
    status: int | None = None
    reason: str | None = None
    answered: bool = True


@dataclass(frozen=True, slots=True)
class Reoffered:
    """The other side wants to change the session: hold, a new address. Answer or reject it."""

    call: "Call"
    offer: SessionDescription | None


@dataclass(frozen=True, slots=True)
class DtmfInfo:
    """A key pressed, told by INFO."""

    call: "Call"
    digit: str
    duration_ms: int


@dataclass(frozen=True, slots=True)
class Ringing:
    """A provisional response to our INVITE, 100 left out; ``answer``: its early media."""

    call: "Call"
    status: int
    answer: SessionDescription | None


@dataclass(frozen=True, slots=True)
class Answered:
    """Our INVITE was answered."""

    call: "Call"
    answer: SessionDescription


@dataclass(frozen=True, slots=True)
class Failed:
    """Our INVITE was refused, timed out (408), could not be sent (503) or was cancelled (487).

    ``answered`` is False where the status is our own word: no response came.
    """

    call: "Call"
    status: int
    reason: str
    retry_after: int | None = None
    answered: bool = True


@dataclass(frozen=True, slots=True)
class Reanswered:
    """Our re-INVITE was answered; a refresh of the session may be one that nobody asked for."""

    call: "Call"
    answer: SessionDescription | None


@dataclass(frozen=True, slots=True)
class ReofferFailed:
    """Our re-INVITE was refused; the session goes on as it was."""

    call: "Call"
    status: int
    reason: str


Event = (
    IncomingCall
    | Established
    | CallCancelled
    | CallEnded
    | Reoffered
    | DtmfInfo
    | Ringing
    | Answered
    | Failed
    | Reanswered
    | ReofferFailed
)
