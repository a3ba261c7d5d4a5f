"""The states of both sides: for each, what it may send, and where that leads.

A connector's view of the worker moves only by what the worker really sent, since messages of the
worker may have crossed the connector's Hangup.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Final

from callfleet_agent.link.messages import (
    Audio,
    Context,
    Dtmf,
    EndOfSpeech,
    Event,
    Hangup,
    Hello,
    Interrupt,
    Interrupted,
    Message,
    Ping,
    Pong,
    Ready,
    Tick,
)


class ConnectorState(Enum):
    """What the connector has done so far."""

    START = "start"
    RESUMING = "resuming"
    OFFERED = "offered"
    ACTIVE = "active"
    ENDED = "ended"


class WorkerState(Enum):
    """What the worker has done so far."""

    START = "start"
    INVITED = "invited"
    ACTIVE = "active"
    LEAVING = "leaving"
    FINISHING = "finishing"


C, W = ConnectorState, WorkerState
Kind = type[Message]

CONNECTOR_SENDS: Final[Mapping[ConnectorState, Mapping[Kind, ConnectorState]]] = {
    C.START: {Hello: C.OFFERED},  # RESUMING when it says that the call is resumed
    C.RESUMING: {Context: C.OFFERED},
    C.OFFERED: {Ping: C.OFFERED, Hangup: C.ENDED},
    C.ACTIVE: {
        Tick: C.ACTIVE,
        Dtmf: C.ACTIVE,
        Interrupted: C.ACTIVE,
        Ping: C.ACTIVE,
        Hangup: C.ENDED,
    },
    C.ENDED: {},
}

WORKER_SENDS: Final[Mapping[WorkerState, Mapping[Kind, WorkerState]]] = {
    W.START: {},
    W.INVITED: {Ready: W.ACTIVE, Pong: W.INVITED, Event: W.INVITED, Hangup: W.LEAVING},
    W.ACTIVE: {
        Audio: W.ACTIVE,
        Interrupt: W.ACTIVE,
        EndOfSpeech: W.ACTIVE,
        Context: W.ACTIVE,
        Event: W.ACTIVE,
        Pong: W.ACTIVE,
        Hangup: W.LEAVING,
    },
    W.LEAVING: {Context: W.LEAVING, Event: W.LEAVING, Pong: W.LEAVING},
    W.FINISHING: {Context: W.FINISHING, Event: W.FINISHING, Pong: W.FINISHING},
}

# What the worker's Ready does to the connector's state, at both sides.
CONNECTOR_HEARS: Final[Mapping[ConnectorState, Mapping[Kind, ConnectorState]]] = {
    C.OFFERED: {Ready: C.ACTIVE},
}

# When the connector's state becomes OFFERED, the worker is INVITED, at both sides. This table is
# used at the worker's side only.
WORKER_HEARS: Final[Mapping[WorkerState, Mapping[Kind, WorkerState]]] = {
    W.INVITED: {Hangup: W.FINISHING},
    W.ACTIVE: {Hangup: W.FINISHING},
    W.LEAVING: {Hangup: W.FINISHING},
}
