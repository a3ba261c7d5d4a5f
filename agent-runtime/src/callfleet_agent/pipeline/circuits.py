"""The circuit breakers of a process, as a turn's event tells of them."""

import os
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from callfleet_agent.banking import Bank, Guarded
from callfleet_agent.providers.lineup import CurrentLineup

Circuits = Callable[[], Mapping[str, str | int]]
_WORST_LAST: Final = ("closed", "half_open", "open")


def circuits_of(bank: Bank, chains: Mapping[str, CurrentLineup[Any]]) -> Circuits:
    """The bank's breaker and, of each chain that has members, the worst of theirs; with the
    process, for whoever gathers them."""

    def circuits() -> dict[str, str | int]:
        now = time.monotonic()
        told: dict[str, str | int] = {"worker_pid": os.getpid()}
        if isinstance(bank, Guarded):
            told["bank_circuit"] = bank.circuit
        for stage, lineup in chains.items():
            states = [member.breaker.state(now).value for member in lineup().members]
            if states:
                told[f"{stage}_circuit"] = max(states, key=_WORST_LAST.index)
        return told

    return circuits
