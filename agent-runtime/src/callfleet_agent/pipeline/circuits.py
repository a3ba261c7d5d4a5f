"""The circuit breakers of a process, as a turn's event tells of them."""

import os
import time
from collections.abc import Callable, Mapping
from typing import Any

from callfleet_agent.banking import Bank, Guarded
from callfleet_agent.chain import worst_circuit
from callfleet_agent.providers.lineup import CurrentLineup

Circuits = Callable[[], Mapping[str, str | int]]


def circuits_of(bank: Bank, chains: Mapping[str, CurrentLineup[Any]]) -> Circuits:
    """The bank's breaker and, of each chain that has members, the worst of theirs; with the
    process, for whoever gathers them."""

    def circuits() -> dict[str, str | int]:
        now = time.monotonic()
        told: dict[str, str | int] = {"worker_pid": os.getpid()}
        if isinstance(bank, Guarded):
            told["bank_circuit"] = bank.circuit
        for stage, lineup in chains.items():
            if (worst := worst_circuit(lineup().members, now)) is not None:
                told[f"{stage}_circuit"] = worst.value
        return told

    return circuits
