"""What happens to a dialog: what the caller does, and what the bank answers."""

from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls, as far as the network says. A trusted id identifies; it proves nothing."""

    id: str | None = None
    trusted: bool = False
    withheld: bool = False

    @property
    def identifies(self) -> bool:
        """Whether the bank may be asked for the customer of this caller id."""
        return self.trusted and not self.withheld and bool(self.id)


@dataclass(frozen=True, slots=True)
class Earlier:
    """A call of the same caller that broke off: what was wanted, and who the caller said to be.
    That it was proved does not carry over."""

    intent: str = ""
    customer_number: str | None = field(default=None, repr=False)
    failed_attempts: int = 0


@dataclass(frozen=True, slots=True)
class Started:
    """The call was answered; `earlier` broke off a moment ago. `today`: nobody was born later."""

    caller: Caller = Caller()
    earlier: Earlier | None = None
    today: date | None = None


@dataclass(frozen=True, slots=True)
class Resumed:
    """The conversation goes on in another process, from a stored dialog."""


@dataclass(frozen=True, slots=True)
class Heard:
    """Recognised speech; `confidence` from 0 to 1."""

    text: str
    confidence: float = 1.0


@dataclass(frozen=True, slots=True)
class Keyed:
    """Keys that the caller pressed: 0 to 9 and *; the # that ends them is not in here."""

    digits: str


@dataclass(frozen=True, slots=True)
class NoMatch:
    """Somebody spoke, and it was nothing that the state's grammar has."""


@dataclass(frozen=True, slots=True)
class NoInput:
    """Nobody spoke or pressed a key within the time that Listen gave."""


@dataclass(frozen=True, slots=True)
class Interrupted:
    """The caller spoke into what was being said; `heard` is the part that had been played."""

    heard: str


class Verdict(StrEnum):
    """The bank's answer to an authentication, or to the wish for a code: that one is on its way
    (pending), or that no other can be sent now. A code that has expired was no try."""

    VERIFIED = "verified"
    REFUSED = "refused"
    LOCKED = "locked"
    UNKNOWN_CALLER = "unknown_caller"
    PENDING = "pending"
    NOT_SENT = "not_sent"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class Authenticated:
    """The bank looked at the credential. `customer` is the bank's own reference when verified."""

    verdict: Verdict
    customer: str | None = None


class Delivery(StrEnum):
    """Where a card is."""

    ORDERED = "ordered"
    PRINTED = "printed"
    SHIPPED = "shipped"
    OUT_FOR_DELIVERY = "out_for_delivery"
    DELIVERED = "delivered"
    RETURNED = "returned"
    LOST = "lost"
    BLOCKED = "blocked"


@dataclass(frozen=True, slots=True)
class CardFound:
    """The bank says where the card is. `date` is ISO 8601: of the last event, or expected."""

    delivery: Delivery
    date: str | None = None
    expected: str | None = None
    carrier: str | None = None


@dataclass(frozen=True, slots=True)
class CardNotFound:
    """The bank knows of no card on its way for this customer."""


@dataclass(frozen=True, slots=True)
class BankSlow:
    """The bank has not answered for so long that silence would be odd."""


@dataclass(frozen=True, slots=True)
class BankFailed:
    """The bank could not be asked, or its answer was no answer."""


Input = (
    Started
    | Resumed
    | Heard
    | Keyed
    | NoMatch
    | NoInput
    | Interrupted
    | Authenticated
    | CardFound
    | CardNotFound
    | BankSlow
    | BankFailed
)
