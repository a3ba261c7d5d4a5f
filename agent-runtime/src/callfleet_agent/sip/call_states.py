"""The states of a call and what may happen in each, as a table."""

from enum import Enum, auto

from callfleet_agent.sip.errors import LocalProtocolError


class CallState(Enum):
    OFFERED = auto()  # they call, nothing answered yet
    ANSWERED = auto()  # our 200 waits for its ACK
    CALLING = auto()  # we call
    CANCELLING = auto()  # we gave up, the outcome is still open
    ESTABLISHED = auto()
    ENDING = auto()  # our BYE is sent, or waits for the ACK of our 200
    ENDED = auto()


class CallInput(Enum):
    ANSWER = auto()
    REJECT = auto()
    HANG_UP = auto()
    CANCEL = auto()
    ACKNOWLEDGED = auto()
    ACCEPTED = auto()  # our INVITE was answered
    OVER = auto()  # whatever ended it: BYE, CANCEL, a refusal, a time-out


S, In = CallState, CallInput

TRANSITIONS: dict[tuple[CallState, CallInput], CallState] = {
    (S.OFFERED, In.ANSWER): S.ANSWERED,
    (S.OFFERED, In.REJECT): S.ENDED,
    (S.OFFERED, In.HANG_UP): S.ENDED,
    (S.OFFERED, In.OVER): S.ENDED,
    (S.ANSWERED, In.ACKNOWLEDGED): S.ESTABLISHED,
    (S.ANSWERED, In.HANG_UP): S.ENDING,
    (S.ANSWERED, In.OVER): S.ENDED,
    (S.CALLING, In.CANCEL): S.CANCELLING,
    (S.CALLING, In.HANG_UP): S.CANCELLING,
    (S.CALLING, In.ACCEPTED): S.ESTABLISHED,
    (S.CALLING, In.OVER): S.ENDED,
    (S.CANCELLING, In.CANCEL): S.CANCELLING,
    (S.CANCELLING, In.HANG_UP): S.CANCELLING,
    (S.CANCELLING, In.ACCEPTED): S.ESTABLISHED,
    (S.CANCELLING, In.OVER): S.ENDED,
    (S.ESTABLISHED, In.ACKNOWLEDGED): S.ESTABLISHED,
    (S.ESTABLISHED, In.HANG_UP): S.ENDING,
    (S.ESTABLISHED, In.OVER): S.ENDED,
    (S.ENDING, In.ACKNOWLEDGED): S.ENDING,
    (S.ENDING, In.HANG_UP): S.ENDING,
    (S.ENDING, In.OVER): S.ENDED,
    (S.ENDED, In.CANCEL): S.ENDED,
    (S.ENDED, In.HANG_UP): S.ENDED,
}


def next_state(state: CallState, given: CallInput) -> CallState:
    """LocalProtocolError when ``given`` must not happen in ``state``."""
    try:
        return TRANSITIONS[state, given]
    except KeyError:
        raise LocalProtocolError(f"{given.name} is not possible in {state.name}") from None
