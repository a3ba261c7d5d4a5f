"""The dialog's settings: one frozen object for each agent."""

from dataclasses import dataclass
from enum import StrEnum


class Method(StrEnum):
    """How a caller proves who they are."""

    CARD_LAST_FOUR = "card-last-four"
    PIN = "pin"


@dataclass(frozen=True, slots=True, kw_only=True)
class DialogSettings:
    """What a manifest says about the conversation. Times are in seconds."""

    bank_name: str = "Example Bank"
    barge_in: bool = True
    method: Method = Method.CARD_LAST_FOUR
    credential_digits: int = 4
    max_attempts: int = 3
    customer_number_digits: int = 6
    no_input_s: float = 6.0
    inter_digit_s: float = 2.5
    min_confidence: float = 0.3
    max_no_matches: int = 5
    max_silences: int = 3
    max_turns: int = 60
