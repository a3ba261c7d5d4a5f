"""Where a conversation stands, and everything it remembers."""

from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum

from callfleet_agent.dialog.inputs import Caller, Earlier
from callfleet_agent.dialog.outputs import Outcome


class State(StrEnum):
    """The states of the card-delivery dialog."""

    NEW = "new"
    CONTINUE = "continue"
    INTENT = "intent"
    IDENTIFY = "identify"
    CONFIRM_NUMBER = "confirm_number"
    SENDING = "sending"
    AUTHENTICATE = "authenticate"
    CONFIRM_CREDENTIAL = "confirm_credential"
    VERIFYING = "verifying"
    QUERYING = "querying"
    TRY_AGAIN = "try_again"
    MORE = "more"
    ENDED = "ended"


LISTENING = frozenset(State) - {
    State.NEW, State.SENDING, State.VERIFYING, State.QUERYING, State.ENDED
}  # fmt: skip
"""The states that wait for the caller."""


CARD_DELIVERY = "card_delivery_inquiry"
"""What a caller may want."""


@dataclass(frozen=True, slots=True)
class Utterance:
    """One line of the conversation. Digits are blanked before they come here.

    `number` counts all lines from 1, `turn` is the caller's turn that it belongs to; `cut`: the
    caller spoke into it, and `text` is what had been heard.
    """

    speaker: str
    text: str
    number: int = field(default=0, compare=False)
    turn: int = field(default=0, compare=False)
    cut: bool = field(default=False, compare=False)


@dataclass(frozen=True, slots=True)
class Memory:
    """A conversation's whole state: a value; `step` makes the next one.

    `heard` (digits or a date that wait for a yes), `credential` and `said` never leave the process.
    `code_pending`: a code is on its way to the customer.
    """

    state: State = State.NEW
    caller: Caller = field(default_factory=Caller)
    customer_number: str | None = None
    heard: str | None = field(default=None, repr=False)
    credential: str | None = field(default=None, repr=False)
    said: tuple[str, ...] = field(default=(), repr=False)
    customer: str | None = None
    intent: str = ""
    earlier: Earlier | None = field(default=None, repr=False)
    caller_id_unknown: bool = False
    today: date | None = None
    codes_sent: int = 0
    code_pending: bool = False
    attempt: int = 0
    failed_attempts: int = 0
    no_matches: int = 0
    silences: int = 0
    bank_failures: int = 0
    turns: int = 0
    model_tokens: int = 0
    outcome: Outcome | None = None
    history: tuple[Utterance, ...] = ()
