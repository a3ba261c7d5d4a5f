"""The record of what a call asked of the bank, and who the caller has proved to be."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from hmac import compare_digest
from typing import Any, Final, Self
from uuid import UUID

from callfleet_agent.banking.port import Outcome

MAX_TRIES: Final = 3
LOCKED_FOR: Final = timedelta(minutes=15)
# A try whose answer has not come holds its place while it may still be under way, and not for ever:
# a bank that is away locks nobody out. It is asked again only while it holds its place until the
# answer is there, or many that lapsed could be asked again at once.
UNANSWERED_COUNTS_FOR: Final = timedelta(seconds=30)
ASKED_AGAIN_FOR: Final = timedelta(seconds=20)
MAX_CODES_OF_SESSION: Final = 2  # the code, and once again
MAX_CODES: Final = 4  # in CODES_WITHIN, in all sessions
CODES_WITHIN: Final = timedelta(minutes=15)
# As AuthenticationStatus has them.
UNKNOWN_CALLER: Final = "unknown_caller"
NOT_SENT: Final = "not_sent"
EXPIRED: Final = "expired"
_NO_TRIES: Final = frozenset({UNKNOWN_CALLER, EXPIRED})
WISH: Final = "wish"  # among query_parameters: a code was asked for, and nothing was proved


def called_from(caller_id: str) -> str:
    """What a customer is called who is known by nothing but the number they call from."""
    return f"caller.{caller_id.lstrip('+')}"


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
    """One request to the bank. `response_data` None: its outcome is not known yet. `digest` stands
    for what of a request is not kept; it is forgotten a day after it."""

    transaction_id: UUID
    session_id: UUID
    customer_id: str = field(repr=False)
    kind: TransactionKind
    proof: ProofStatus
    created_at: datetime
    query_parameters: Mapping[str, Any] = field(default_factory=dict, repr=False)
    response_data: Mapping[str, Any] | None = field(default=None, repr=False)
    digest: bytes = field(default=b"", repr=False)

    @property
    def is_wish(self) -> bool:
        """Whether a one-time code was asked for."""
        return bool(self.query_parameters.get(WISH))

    @property
    def status(self) -> str | None:
        """The bank's word for what came of an authentication."""
        return (self.response_data or {}).get("status")

    @property
    def is_declined(self) -> bool:
        """Whether the bank said no."""
        return (self.response_data or {}).get("outcome") == Outcome.DECLINED

    def answered(self, proof: ProofStatus, response_data: Mapping[str, Any]) -> Self:
        """The transaction with what the bank answered."""
        return replace(self, proof=proof, response_data=response_data)

    def is_same_request(self, other: "BankingTransaction") -> bool:
        """Whether `other` asks for the same thing."""
        mine = (self.session_id, self.customer_id, self.kind, dict(self.query_parameters))
        theirs = (other.session_id, other.customer_id, other.kind, dict(other.query_parameters))
        return mine == theirs and compare_digest(self.digest, other.digest)


@dataclass(frozen=True, slots=True)
class Tries:
    """How many tries are left, how many of them are taken by proofs that the bank has not judged
    yet, and until when there are none."""

    left: int
    locked_until: datetime | None = None
    under_way: int = 0

    @property
    def has_room(self) -> bool:
        """Whether one more proof is within the limit, also if all that are under way are wrong."""
        return self.left > self.under_way


def tries_of(past: tuple[BankingTransaction, ...], now: datetime) -> Tries:
    """What earlier authentications of a customer leave, the oldest first: a proof that was right
    forgives those before it."""
    failed: list[datetime] = []
    under_way = 0
    for attempt in past:
        if attempt.is_wish or attempt.status in _NO_TRIES:
            continue  # nobody's proof was tried
        if attempt.proof is ProofStatus.VERIFIED:
            failed.clear()
            under_way = 0
        elif attempt.proof is ProofStatus.FAILED:
            if now - attempt.created_at < LOCKED_FOR:
                failed.append(attempt.created_at)
        elif now - attempt.created_at < UNANSWERED_COUNTS_FOR:
            under_way += 1
    left = max(0, MAX_TRIES - len(failed))
    return Tries(left, None if left else failed[-1] + LOCKED_FOR, under_way)


def may_have_code(past: tuple[BankingTransaction, ...], session_id: UUID, now: datetime) -> bool:
    """Whether one more code may be sent after these authentications of a customer."""
    sent = [
        attempt
        for attempt in past
        if attempt.is_wish
        and attempt.status not in {NOT_SENT, UNKNOWN_CALLER}
        and now - attempt.created_at < CODES_WITHIN
    ]
    of_session = sum(attempt.session_id == session_id for attempt in sent)
    return len(sent) < MAX_CODES and of_session < MAX_CODES_OF_SESSION
