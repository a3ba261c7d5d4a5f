"""The four transaction state machines of RFC 3261 section 17 with RFC 6026, one table each.

``TABLE[state, input] = (next state, actions)``. An input that has no entry is ignored, as the RFC
asks of retransmissions and late messages. Over a reliable transport timers A, E and G are never
started, and D, I, J and K take no time.
"""

from enum import Enum, auto


class State(Enum):
    CALLING = auto()
    TRYING = auto()
    PROCEEDING = auto()
    ACCEPTED = auto()
    COMPLETED = auto()
    CONFIRMED = auto()
    TERMINATED = auto()


class Input(Enum):
    START = auto()
    PROVISIONAL = auto()  # a 1xx: received by a client, sent by the user of a server
    SUCCESS = auto()
    FAILURE = auto()
    REQUEST = auto()  # the request of a server again
    ACK = auto()
    RETRANSMIT = auto()  # timer A, E or G
    GIVE_UP = auto()  # timer B, F or H
    LINGERED = auto()  # timer D, I, J, K, L or M
    UNREACHABLE = auto()


class Action(Enum):
    SEND = auto()  # the request, or the last response
    SEND_ACK = auto()
    PASS = auto()  # give the message to the user
    START_FAST = auto()  # timer A or G: T1, then doubled without limit (A) or to T2 (G)
    START_SLOW = auto()  # timer E: T1, then doubled to T2
    DOUBLE = auto()  # the retransmission timer once more, for twice the time
    AT_T2 = auto()  # timer E in Proceeding
    START_LIMIT = auto()  # timer B, F or H: 64*T1
    STOP = auto()  # no retransmission and no giving up any more
    LINGER_32 = auto()  # timers D, J: 32 s or 64*T1, none when reliable
    LINGER_T4 = auto()  # timers I, K: T4, none when reliable
    LINGER_64T1 = auto()  # timers L, M: always
    TIMED_OUT = auto()
    FAILED = auto()


Table = dict[tuple[State, Input], tuple[State, tuple[Action, ...]]]

S, In, A = State, Input, Action

INVITE_CLIENT: Table = {
    (S.CALLING, In.START): (S.CALLING, (A.SEND, A.START_FAST, A.START_LIMIT)),
    (S.CALLING, In.RETRANSMIT): (S.CALLING, (A.SEND, A.DOUBLE)),
    (S.CALLING, In.GIVE_UP): (S.TERMINATED, (A.STOP, A.TIMED_OUT)),
    (S.CALLING, In.UNREACHABLE): (S.TERMINATED, (A.STOP, A.FAILED)),
    (S.CALLING, In.PROVISIONAL): (S.PROCEEDING, (A.STOP, A.PASS)),
    (S.CALLING, In.SUCCESS): (S.ACCEPTED, (A.STOP, A.LINGER_64T1, A.PASS)),
    (S.CALLING, In.FAILURE): (S.COMPLETED, (A.STOP, A.SEND_ACK, A.LINGER_32, A.PASS)),
    (S.PROCEEDING, In.PROVISIONAL): (S.PROCEEDING, (A.PASS,)),
    (S.PROCEEDING, In.SUCCESS): (S.ACCEPTED, (A.LINGER_64T1, A.PASS)),
    (S.PROCEEDING, In.FAILURE): (S.COMPLETED, (A.SEND_ACK, A.LINGER_32, A.PASS)),
    (S.ACCEPTED, In.SUCCESS): (S.ACCEPTED, (A.PASS,)),
    (S.ACCEPTED, In.LINGERED): (S.TERMINATED, ()),
    (S.COMPLETED, In.FAILURE): (S.COMPLETED, (A.SEND_ACK,)),
    (S.COMPLETED, In.LINGERED): (S.TERMINATED, ()),
}

CLIENT: Table = {
    (S.TRYING, In.START): (S.TRYING, (A.SEND, A.START_SLOW, A.START_LIMIT)),
    (S.TRYING, In.RETRANSMIT): (S.TRYING, (A.SEND, A.DOUBLE)),
    (S.TRYING, In.GIVE_UP): (S.TERMINATED, (A.STOP, A.TIMED_OUT)),
    (S.TRYING, In.UNREACHABLE): (S.TERMINATED, (A.STOP, A.FAILED)),
    (S.TRYING, In.PROVISIONAL): (S.PROCEEDING, (A.AT_T2, A.PASS)),
    (S.TRYING, In.SUCCESS): (S.COMPLETED, (A.STOP, A.LINGER_T4, A.PASS)),
    (S.TRYING, In.FAILURE): (S.COMPLETED, (A.STOP, A.LINGER_T4, A.PASS)),
    (S.PROCEEDING, In.RETRANSMIT): (S.PROCEEDING, (A.SEND, A.AT_T2)),
    (S.PROCEEDING, In.GIVE_UP): (S.TERMINATED, (A.STOP, A.TIMED_OUT)),
    (S.PROCEEDING, In.UNREACHABLE): (S.TERMINATED, (A.STOP, A.FAILED)),
    (S.PROCEEDING, In.PROVISIONAL): (S.PROCEEDING, (A.PASS,)),
    (S.PROCEEDING, In.SUCCESS): (S.COMPLETED, (A.STOP, A.LINGER_T4, A.PASS)),
    (S.PROCEEDING, In.FAILURE): (S.COMPLETED, (A.STOP, A.LINGER_T4, A.PASS)),
    (S.COMPLETED, In.LINGERED): (S.TERMINATED, ()),
}

INVITE_SERVER: Table = {
    (S.PROCEEDING, In.REQUEST): (S.PROCEEDING, (A.SEND,)),
    (S.PROCEEDING, In.PROVISIONAL): (S.PROCEEDING, (A.SEND,)),
    (S.PROCEEDING, In.SUCCESS): (S.ACCEPTED, (A.SEND, A.LINGER_64T1)),
    (S.PROCEEDING, In.FAILURE): (S.COMPLETED, (A.SEND, A.START_SLOW, A.START_LIMIT)),
    (S.ACCEPTED, In.SUCCESS): (S.ACCEPTED, (A.SEND,)),
    (S.ACCEPTED, In.LINGERED): (S.TERMINATED, ()),
    (S.COMPLETED, In.REQUEST): (S.COMPLETED, (A.SEND,)),
    (S.COMPLETED, In.RETRANSMIT): (S.COMPLETED, (A.SEND, A.DOUBLE)),
    (S.COMPLETED, In.ACK): (S.CONFIRMED, (A.STOP, A.LINGER_T4)),
    (S.COMPLETED, In.GIVE_UP): (S.TERMINATED, (A.STOP,)),
    (S.CONFIRMED, In.LINGERED): (S.TERMINATED, ()),
}

SERVER: Table = {
    (S.TRYING, In.PROVISIONAL): (S.PROCEEDING, (A.SEND,)),
    (S.TRYING, In.SUCCESS): (S.COMPLETED, (A.SEND, A.LINGER_32)),
    (S.TRYING, In.FAILURE): (S.COMPLETED, (A.SEND, A.LINGER_32)),
    (S.PROCEEDING, In.REQUEST): (S.PROCEEDING, (A.SEND,)),
    (S.PROCEEDING, In.PROVISIONAL): (S.PROCEEDING, (A.SEND,)),
    (S.PROCEEDING, In.SUCCESS): (S.COMPLETED, (A.SEND, A.LINGER_32)),
    (S.PROCEEDING, In.FAILURE): (S.COMPLETED, (A.SEND, A.LINGER_32)),
    (S.COMPLETED, In.REQUEST): (S.COMPLETED, (A.SEND,)),
    (S.COMPLETED, In.LINGERED): (S.TERMINATED, ()),
}
