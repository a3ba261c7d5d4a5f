"""A call and a pod as plain values: their states, who may do what in which state, and when.

Everything here is a function of its arguments: no socket, no clock, no process. The connector in
`app` feeds it events and does what it says. A call's record has commands and queries, which see a
store through a protocol.
"""

from callfleet_agent.session.admission import Admission, Refusal, admit
from callfleet_agent.session.call import Call, CallEvent, CallState, EndedBy, VoiceEvent, VoiceState
from callfleet_agent.session.drain import Drain, PodIntent, PodPhase
from callfleet_agent.session.errors import CallStateError, SessionError, StaleEpochError
from callfleet_agent.session.search import Search
from callfleet_agent.session.workers import Backoff, WorkerState, WorkerView, choose_worker

__all__ = [
    "Admission",
    "Backoff",
    "Call",
    "CallEvent",
    "CallState",
    "CallStateError",
    "Drain",
    "EndedBy",
    "PodIntent",
    "PodPhase",
    "Refusal",
    "Search",
    "SessionError",
    "StaleEpochError",
    "VoiceEvent",
    "VoiceState",
    "WorkerState",
    "WorkerView",
    "admit",
    "choose_worker",
]
