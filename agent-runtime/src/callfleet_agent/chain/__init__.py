"""An ordered chain of providers, and the circuit breaker in it: who is asked, for how long, and who
is next. Pure: the clock is an argument, requests are made by the caller.
"""

from callfleet_agent.chain.attempt import Attempt, AttemptEvent, AttemptState
from callfleet_agent.chain.breaker import Circuit, CircuitBreaker
from callfleet_agent.chain.budget import Budget, Ledger, OwnLedger, Spent
from callfleet_agent.chain.faults import EFFECTS, Effect, Fault
from callfleet_agent.chain.latency import Latency
from callfleet_agent.chain.limits import Allowance, Limits, MemberSettings
from callfleet_agent.chain.member import Member, worst_circuit
from callfleet_agent.chain.order import order
from callfleet_agent.chain.turn import (
    Action,
    Cancel,
    Deliver,
    Exhausted,
    Failure,
    Finished,
    Start,
    Turn,
)

__all__ = [
    "EFFECTS", "Action", "Allowance", "Attempt", "AttemptEvent", "AttemptState", "Budget", "Cancel",
    "Circuit", "CircuitBreaker", "Deliver", "Effect", "Exhausted", "Failure", "Fault", "Finished",
    "Latency", "Ledger", "Limits", "Member", "MemberSettings", "OwnLedger", "Spent", "Start",
    "Turn", "order", "worst_circuit",
]  # fmt: skip
