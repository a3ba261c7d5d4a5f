"""The dialog's settings: one frozen object for each agent."""

from dataclasses import dataclass
from enum import StrEnum

from callfleet_agent.dialog.dates import DIGITS, DateOrder


class Method(StrEnum):
    """How a caller proves who they are."""

    CARD_LAST_FOUR = "card-last-four"
    PIN = "pin"
    DATE_OF_BIRTH = "date-of-birth"
    ONE_TIME_CODE = "one-time-code"


@dataclass(frozen=True, slots=True, kw_only=True)
class DialogSettings:
    """What a manifest says about the conversation. Times are in seconds. `credential_digits` is for
    methods other than the date of birth, which is keyed in `date_order`."""

    bank_name: str = "Example Bank"
    barge_in: bool = True
    method: Method = Method.CARD_LAST_FOUR
    credential_digits: int = 4
    date_order: DateOrder = DateOrder.MONTH_FIRST
    max_attempts: int = 3
    customer_number_digits: int = 6
    no_input_s: float = 6.0
    inter_digit_s: float = 2.5
    min_confidence: float = 0.3
    max_no_matches: int = 5
    max_silences: int = 3
    max_turns: int = 60

    @property
    def credential_keys(self) -> int:
        """How many keys a credential takes."""
        return DIGITS if self.method is Method.DATE_OF_BIRTH else self.credential_digits
