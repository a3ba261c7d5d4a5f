"""A dialog's memory as plain data, for another process to go on with. Secrets are not in it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from callfleet_agent.dialog.errors import SnapshotError
from callfleet_agent.dialog.history import MAX_UTTERANCES
from callfleet_agent.dialog.inputs import Caller, Earlier
from callfleet_agent.dialog.outputs import Outcome
from callfleet_agent.dialog.state import Memory, State, Utterance

VERSION = 2
_COUNTERS = ("attempt", "failed_attempts", "no_matches", "silences", "bank_failures", "turns")
_LATER_COUNTERS = ("model_tokens", "codes_sent")  # not in the dumps of former releases


def dump(memory: Memory) -> dict[str, Any]:
    """Everything of a memory that may leave the process, as JSON types."""
    return {
        "version": VERSION,
        "state": memory.state.value,
        "caller": [memory.caller.id, memory.caller.trusted, memory.caller.withheld],
        "customer_number": memory.customer_number,
        "customer": memory.customer,
        "intent": memory.intent,
        "earlier": _earlier(memory.earlier),
        "caller_id_unknown": memory.caller_id_unknown,
        "today": memory.today.isoformat() if memory.today else None,
        "code_pending": memory.code_pending,
        "outcome": memory.outcome.value if memory.outcome else None,
        "history": [
            [line.speaker, line.text, line.number, line.turn, line.cut] for line in memory.history
        ],
        **{name: getattr(memory, name) for name in (*_COUNTERS, *_LATER_COUNTERS)},
    }


def load(data: Mapping[str, Any]) -> Memory:
    """The memory of `dump`; raises SnapshotError for anything else."""
    if data.get("version") != VERSION:
        raise SnapshotError(f"version {data.get('version')!r} of a dialog is not known")
    try:
        counters: dict[str, Any] = {name: max(0, int(data[name])) for name in _COUNTERS}
        counters |= {name: max(0, int(data.get(name, 0))) for name in _LATER_COUNTERS}
        caller_id, trusted, withheld = data["caller"]
        history = [_line(line) for line in data["history"]]
        return Memory(
            state=State(data["state"]),
            caller=Caller(_text(caller_id), bool(trusted), bool(withheld)),
            customer_number=_text(data["customer_number"]),
            customer=_text(data["customer"]),
            intent=str(data["intent"]),
            earlier=_read_earlier(data["earlier"]),
            caller_id_unknown=bool(data["caller_id_unknown"]),
            today=date.fromisoformat(data["today"]) if data.get("today") else None,
            code_pending=bool(data.get("code_pending")),
            outcome=None if data["outcome"] is None else Outcome(data["outcome"]),
            history=tuple(history[-MAX_UTTERANCES:]),
            **counters,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise SnapshotError(f"a stored dialog is damaged: {type(error).__name__}") from None


@dataclass(frozen=True, slots=True)
class Excerpt:
    """What of a dump is worth a record: the lines after a number, and what is known."""

    lines: tuple[Utterance, ...] = field(repr=False)
    state: State
    outcome: Outcome | None
    intent: str
    turns: int
    failed_attempts: int
    customer_number: str | None = field(repr=False)
    trusted: bool


def excerpt(data: Mapping[str, Any], after: int) -> Excerpt:
    """What `load` would say, without the lines up to `after`: most of a dump is known already, and
    this is asked with each turn. Raises SnapshotError."""
    if data.get("version") != VERSION:
        raise SnapshotError(f"version {data.get('version')!r} of a dialog is not known")
    try:
        _, trusted, _ = data["caller"]
        return Excerpt(
            lines=tuple(_line(line) for line in data["history"] if line[2] > after),
            state=State(data["state"]),
            outcome=None if data["outcome"] is None else Outcome(data["outcome"]),
            intent=str(data["intent"]),
            turns=int(data["turns"]),
            failed_attempts=int(data["failed_attempts"]),
            customer_number=_text(data["customer_number"]),
            trusted=bool(trusted),
        )
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise SnapshotError(f"a stored dialog is damaged: {type(error).__name__}") from None


def _line(line: Any) -> Utterance:
    who, text, number, turn, cut = line
    return Utterance(str(who), str(text), int(number), int(turn), bool(cut))


def _earlier(earlier: Earlier | None) -> list[Any] | None:
    if earlier is None:
        return None
    return [earlier.intent, earlier.customer_number, earlier.failed_attempts]


def _read_earlier(data: Any) -> Earlier | None:
    if data is None:
        return None
    intent, number, failed = data
    return Earlier(str(intent), _text(number), max(0, int(failed)))


def _text(value: object) -> str | None:
    if value is not None and not isinstance(value, str):
        raise TypeError("text expected")
    return value
