"""The banking port: what an agent asks of a bank, after the three RPCs of the banking service."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol, runtime_checkable
from uuid import UUID


class AuthenticationStatus(StrEnum):
    """The bank's verdict on a credential, or its answer to the wish for a one-time code: that one
    is on its way (pending), or that no other can be sent now. A code that has expired, was used or
    never sent is no try: nothing was compared."""

    VERIFIED = "verified"
    REFUSED = "refused"
    LOCKED = "locked"
    UNKNOWN_CALLER = "unknown_caller"
    PENDING = "pending"
    NOT_SENT = "not_sent"
    EXPIRED = "expired"


class CardStatus(StrEnum):
    """Where a card is."""

    ORDERED = "ordered"
    PRINTED = "printed"
    SHIPPED = "shipped"
    OUT_FOR_DELIVERY = "out_for_delivery"
    DELIVERED = "delivered"
    RETURNED = "returned"
    LOST = "lost"
    BLOCKED = "blocked"


class Outcome(StrEnum):
    """What came of a transaction: the bank did it, or said no."""

    COMPLETED = "completed"
    DECLINED = "declined"


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthenticationRequest:
    """A credential, and whose it should be: a customer number or a trusted caller id (one of them).

    `method` is card-last-four, pin, date-of-birth (an ISO 8601 day) or one-time-code; no credential
    with the last has a code sent. The bank counts a key once, and sends one code for it, however
    often it comes. `session_id`: the call's, for what is kept of it.
    """

    idempotency_key: UUID
    method: str
    credential: str | None = field(repr=False)
    customer_number: str | None = field(default=None, repr=False)
    caller_id: str | None = field(default=None, repr=False)
    session_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class Authentication:
    """The verdict; `customer_id` is the bank's own reference, set when verified. `expires_in_s`:
    how long a code that is on its way is good, where the bank says so."""

    status: AuthenticationStatus
    customer_id: str | None = field(default=None, repr=False)
    expires_in_s: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CardDeliveryRequest:
    """Where is the card of this customer? The newest one, unless `card_id`, the bank's name of a
    card, says which."""

    customer_id: str = field(repr=False)
    card_id: str = field(default="", repr=False)
    session_id: UUID | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CardDelivery:
    """Where a card is. Dates are ISO 8601 days; `status` None: no card is on its way."""

    status: CardStatus | None
    date: str | None = None
    expected: str | None = None
    carrier: str | None = None
    tracking_number: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class TransactionRequest:
    """Something that the bank is to do for a customer; `kind` such as CARD_INQUIRY."""

    idempotency_key: UUID
    customer_id: str = field(repr=False)
    kind: str
    parameters: Mapping[str, str] = field(default_factory=dict, repr=False)
    session_id: UUID | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TransactionReceipt:
    """What the bank did; `reason` is its code for having said no."""

    transaction_id: str
    kind: str
    result: Mapping[str, str] = field(default_factory=dict, repr=False)
    outcome: Outcome = Outcome.COMPLETED
    reason: str = ""


@runtime_checkable
class Guarded(Protocol):
    """Whoever asks a bank through a circuit breaker."""

    @property
    def circuit(self) -> str:
        """The breaker's state now: closed, open or half_open."""
        ...


class Bank(Protocol):
    """A bank. Every method raises BankingError and nothing else of its own."""

    async def authenticate_customer(self, request: AuthenticationRequest) -> Authentication:
        """Whether the credential is the customer's; counts as one try for each idempotency key."""
        ...

    async def query_card_delivery(self, request: CardDeliveryRequest) -> CardDelivery:
        """Where the customer's card is; changes nothing."""
        ...

    async def process_transaction(self, request: TransactionRequest) -> TransactionReceipt:
        """Does it once for each idempotency key."""
        ...

    async def close(self) -> None:
        """Lets go of connections."""
        ...
