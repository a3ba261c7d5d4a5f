"""The record of what a call asked of the bank, and who the caller has proved to be."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final, Self
from uuid import UUID

MAX_TRIES: Final = 3
LOCKED_FOR: Final = timedelta(minutes=15)
# A try whose answer never came counts while it may still be under way, and not for ever: a bank
# that is away locks nobody out.
UNANSWERED_COUNTS_FOR: Final = timedelta(seconds=30)


class ProofStatus(StrEnum):
    """Whether the caller has proved who they are."""

    PENDING = "PENDING"
    VERIFIED = "VERIFIED"
    FAILED = "FAILED"


class TransactionKind(StrEnum):
    """What is asked of the bank."""

    AUTHENTICATION = "AUTHENTICATION"
    CARD_INQUIRY = "CARD_INQUIRY"
    BALANCE_CHECK = "BALANCE_CHECK"
    CARD_BLOCK = "CARD_BLOCK"
    CARD_REPLACEMENT = "CARD_REPLACEMENT"


@dataclass(frozen=True, slots=True, kw_only=True)
class BankingTransaction:
    """One request to the bank. `response_data` None: its outcome is not known yet."""

    transaction_id: UUID
    session_id: UUID
    customer_id: str = field(repr=False)
    kind: TransactionKind
    proof: ProofStatus
    created_at: datetime
    query_parameters: Mapping[str, Any] = field(default_factory=dict, repr=False)
    response_data: Mapping[str, Any] | None = field(default=None, repr=False)

    def answered(self, proof: ProofStatus, response_data: Mapping[str, Any]) -> Self:
        """The transaction with what the bank answered."""
        return replace(self, proof=proof, response_data=response_data)

    def is_same_request(self, other: "BankingTransaction") -> bool:
        """Whether `other` asks for the same thing."""
        mine = (self.session_id, self.customer_id, self.kind, dict(self.query_parameters))
        return mine == (
            other.session_id,
            other.customer_id,
            other.kind,
            dict(other.query_parameters),
        )


@dataclass(frozen=True, slots=True)
class Tries:
    """How many tries are left, and until when there are none."""

    left: int
    locked_until: datetime | None = None


def tries_of(past: tuple[BankingTransaction, ...], now: datetime) -> Tries:
    """What earlier authentications of a customer leave, the oldest first: a proof that was right
    forgives those before it."""
    failed: list[datetime] = []
    for attempt in past:
        if attempt.proof is ProofStatus.VERIFIED:
            failed.clear()
        elif attempt.proof is ProofStatus.FAILED:
            if now - attempt.created_at < LOCKED_FOR:
                failed.append(attempt.created_at)
        elif now - attempt.created_at < UNANSWERED_COUNTS_FOR:
            failed.append(attempt.created_at)
    left = max(0, MAX_TRIES - len(failed))
    return Tries(left, None if left else failed[-1] + LOCKED_FOR)
