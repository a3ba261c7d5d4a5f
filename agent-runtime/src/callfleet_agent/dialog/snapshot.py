"""A dialog's memory as plain data, for another process to go on with. Secrets are not in it."""

from collections.abc import Mapping
from typing import Any

from callfleet_agent.dialog.errors import SnapshotError
from callfleet_agent.dialog.history import MAX_UTTERANCES
from callfleet_agent.dialog.inputs import Caller
from callfleet_agent.dialog.outputs import Outcome
from callfleet_agent.dialog.state import Memory, State, Utterance

VERSION = 1
_COUNTERS = ("attempt", "failed_attempts", "no_matches", "silences", "bank_failures", "turns")


def dump(memory: Memory) -> dict[str, Any]:
    """Everything of a memory that may leave the process, as JSON types."""
    return {
        "version": VERSION,
        "state": memory.state.value,
        "caller": [memory.caller.id, memory.caller.trusted, memory.caller.withheld],
        "customer_number": memory.customer_number,
        "customer": memory.customer,
        "caller_id_unknown": memory.caller_id_unknown,
        "outcome": memory.outcome.value if memory.outcome else None,
        "history": [[line.speaker, line.text] for line in memory.history],
        **{name: getattr(memory, name) for name in _COUNTERS},
    }


def load(data: Mapping[str, Any]) -> Memory:
    """The memory of `dump`; raises SnapshotError for anything else."""
    if data.get("version") != VERSION:
        raise SnapshotError(f"version {data.get('version')!r} of a dialog is not known")
    try:
        counters: dict[str, Any] = {name: max(0, int(data[name])) for name in _COUNTERS}
        caller_id, trusted, withheld = data["caller"]
        history = [Utterance(str(who), str(text)) for who, text in data["history"]]
        return Memory(
            state=State(data["state"]),
            caller=Caller(_text(caller_id), bool(trusted), bool(withheld)),
            customer_number=_text(data["customer_number"]),
            customer=_text(data["customer"]),
            caller_id_unknown=bool(data["caller_id_unknown"]),
            outcome=None if data["outcome"] is None else Outcome(data["outcome"]),
            history=tuple(history[-MAX_UTTERANCES:]),
            **counters,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise SnapshotError(f"a stored dialog is damaged: {type(error).__name__}") from None


def _text(value: object) -> str | None:
    if value is not None and not isinstance(value, str):
        raise TypeError("text expected")
    return value
