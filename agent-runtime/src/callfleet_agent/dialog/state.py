"""Where a conversation stands, and everything it remembers."""

from dataclasses import dataclass, field
from enum import StrEnum

from callfleet_agent.dialog.inputs import Caller
from callfleet_agent.dialog.outputs import Outcome


class State(StrEnum):
    """The states of the card-delivery dialog."""

    NEW = "new"
    INTENT = "intent"
    IDENTIFY = "identify"
    CONFIRM_NUMBER = "confirm_number"
    AUTHENTICATE = "authenticate"
    CONFIRM_CREDENTIAL = "confirm_credential"
    VERIFYING = "verifying"
    QUERYING = "querying"
    TRY_AGAIN = "try_again"
    MORE = "more"
    ENDED = "ended"


LISTENING = frozenset(State) - {State.NEW, State.VERIFYING, State.QUERYING, State.ENDED}
"""The states that wait for the caller."""


@dataclass(frozen=True, slots=True)
class Utterance:
    """One line of the conversation. Digits are blanked before they come here."""

    speaker: str
    text: str


@dataclass(frozen=True, slots=True)
class Memory:
    """A conversation's whole state: a value; `step` makes the next one.

    `heard` (digits that wait for a yes), `credential` and `said` never leave the process.
    """

    state: State = State.NEW
    caller: Caller = field(default_factory=Caller)
    customer_number: str | None = None
    heard: str | None = field(default=None, repr=False)
    credential: str | None = field(default=None, repr=False)
    said: tuple[str, ...] = field(default=(), repr=False)
    customer: str | None = None
    caller_id_unknown: bool = False
    attempt: int = 0
    failed_attempts: int = 0
    no_matches: int = 0
    silences: int = 0
    bank_failures: int = 0
    turns: int = 0
    outcome: Outcome | None = None
    history: tuple[Utterance, ...] = ()
