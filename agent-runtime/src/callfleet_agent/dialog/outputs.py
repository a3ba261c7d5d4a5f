"""What a dialog wants done, in order."""

from dataclasses import dataclass, field
from enum import StrEnum

from callfleet_agent.dialog.grammar import Grammar


@dataclass(frozen=True, slots=True)
class Say:
    """Sentences to be spoken. `private`: they hold something of the caller, so no cache or log."""

    sentences: tuple[str, ...]
    barge_in: bool = True
    private: bool = False

    @property
    def text(self) -> str:
        """All of it as one text."""
        return " ".join(self.sentences)


@dataclass(frozen=True, slots=True)
class Listen:
    """Wait for the caller: speech in `grammar`, or `digits` keys. Times are in seconds."""

    grammar: Grammar
    digits: int
    no_input_s: float
    inter_digit_s: float


@dataclass(frozen=True, slots=True)
class Authenticate:
    """Ask the bank whether the credential is the customer's; one of the two identities is set.

    `attempt` is the same when the same question is asked again, so that a key made from it keeps
    the bank from counting one attempt twice.
    """

    attempt: int
    credential: str = field(repr=False)
    customer_number: str | None = None
    caller_id: str | None = None


@dataclass(frozen=True, slots=True)
class SendCode:
    """Have the bank send the customer a code; one of the two identities is set. `number` is the
    same when the same question is asked again, so that a key made from it sends one code."""

    number: int
    customer_number: str | None = field(default=None, repr=False)
    caller_id: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class QueryCardDelivery:
    """Ask the bank where the verified customer's card is."""

    customer: str


@dataclass(frozen=True, slots=True)
class AskBank:
    """One question to the bank; its answer comes as an input."""

    operation: Authenticate | SendCode | QueryCardDelivery


class Outcome(StrEnum):
    """Why a dialog ended."""

    COMPLETED = "completed"
    LOCKED_OUT = "locked_out"
    SILENT = "silent"
    LOST = "lost"
    BANK_AWAY = "bank_away"


@dataclass(frozen=True, slots=True)
class HangUp:
    """End the call after what was said has been played."""

    outcome: Outcome


Output = Say | Listen | AskBank | HangUp
