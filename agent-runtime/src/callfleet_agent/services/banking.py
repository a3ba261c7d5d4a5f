"""BankingService on commands and queries. Requests come validated from the edge."""

from datetime import UTC, date, datetime
from typing import Any, Final
from uuid import uuid4

from google.protobuf.timestamp_pb2 import Timestamp

from callfleet.v1 import banking_pb2
from callfleet_agent.banking.audited import Commands
from callfleet_agent.banking.commands import Authenticate, InquireCard, Transact, Verdict
from callfleet_agent.banking.errors import BankUnavailableError
from callfleet_agent.banking.port import CardDelivery, CardStatus
from callfleet_agent.banking.record import ProofStatus
from callfleet_agent.services.answers import moment, structure
from callfleet_agent.services.inputs import reader_of
from callfleet_agent.services.inputs.banking import CardQuestion, Proof, Transaction

NAME: Final = "callfleet.v1.BankingService"
READERS: Final = {
    f"/{NAME}/AuthenticateCustomer": reader_of(Proof),
    f"/{NAME}/QueryCardDelivery": reader_of(CardQuestion),
    f"/{NAME}/ProcessTransaction": reader_of(Transaction),
}
NOTHING_SENT: Final = frozenset({"circuit_open", "audit_away"})
_PROOFS: Final[dict[Any, Any]] = {
    ProofStatus.PENDING: banking_pb2.AUTHENTICATION_STATUS_PENDING,
    ProofStatus.VERIFIED: banking_pb2.AUTHENTICATION_STATUS_VERIFIED,
    ProofStatus.FAILED: banking_pb2.AUTHENTICATION_STATUS_FAILED,
}
_OUTCOMES: Final[dict[bool, Any]] = {
    False: banking_pb2.TransactionResponse.OUTCOME_COMPLETED,
    True: banking_pb2.TransactionResponse.OUTCOME_DECLINED,
}
_CARDS: Final[dict[Any, Any]] = {
    status: banking_pb2.CardDeliveryStatus.Value(f"CARD_DELIVERY_STATUS_{status.name}")
    for status in CardStatus
}


class BankingService:
    """The three RPCs."""

    def __init__(self, commands: Commands) -> None:
        self._commands = commands

    async def AuthenticateCustomer(  # noqa: N802
        self, given: Proof, _: Any
    ) -> banking_pb2.AuthenticationResponse:
        """Check a proof."""
        verdict = await self._commands.authenticate(
            Authenticate(
                request_id=given.request_id,
                session_id=given.session_id,
                customer_id=given.customer,
                method=given.method,
                credential=given.proof,
                caller_id=given.caller_id or None,
            )
        )
        return banking_pb2.AuthenticationResponse(
            status=_status(verdict),
            customer_id=given.customer,
            attempts_left=verdict.tries.left,
            locked_until=moment(verdict.tries.locked_until),
            expires_at=moment(verdict.expires_at),
            session_id=str(given.session_id),
        )

    async def QueryCardDelivery(  # noqa: N802
        self, given: CardQuestion, _: Any
    ) -> banking_pb2.CardDeliveryResponse:
        """Where a card is."""
        found = await self._commands.inquire_card(
            InquireCard(
                request_id=given.request_id or uuid4(),
                session_id=given.session_id,
                customer_id=given.customer_id,
                card_id=given.card_id,
            )
        )
        return _delivery(found, str(given.session_id))

    async def ProcessTransaction(  # noqa: N802
        self, given: Transaction, _: Any
    ) -> banking_pb2.TransactionResponse:
        """Carry out a transaction; one whose answer was lost is PENDING, one that the bank does
        not want is DECLINED."""
        asked = Transact(
            transaction_id=given.transaction_id,
            session_id=given.session_id,
            customer_id=given.customer_id,
            kind=given.transaction_type,
            query_parameters=given.query_parameters,
        )
        try:
            done = await self._commands.transact(asked)
        except BankUnavailableError as error:
            if error.code in NOTHING_SENT:
                raise
            return banking_pb2.TransactionResponse(
                transaction_id=str(given.transaction_id),
                outcome=banking_pb2.TransactionResponse.OUTCOME_PENDING,
                authentication_status=banking_pb2.AUTHENTICATION_STATUS_VERIFIED,
            )
        return banking_pb2.TransactionResponse(
            transaction_id=str(done.transaction_id),
            outcome=_OUTCOMES[done.is_declined],
            authentication_status=_PROOFS[done.proof],
            response_data=structure(done.response_data or {}),
            created_at=moment(done.created_at),
        )


def _status(verdict: Verdict) -> Any:
    if not verdict.known:
        return banking_pb2.AUTHENTICATION_STATUS_UNKNOWN_CALLER
    if verdict.expired:
        return banking_pb2.AUTHENTICATION_STATUS_EXPIRED
    return _PROOFS[verdict.proof]


def _delivery(found: CardDelivery, session_id: str) -> banking_pb2.CardDeliveryResponse:
    on = _day(found.date)
    handed_over = found.status is CardStatus.DELIVERED
    return banking_pb2.CardDeliveryResponse(
        status=_CARDS.get(found.status, banking_pb2.CARD_DELIVERY_STATUS_UNSPECIFIED),
        carrier=found.carrier or "",
        tracking_number=found.tracking_number or "",
        shipped_at=on if found.status is CardStatus.SHIPPED else None,
        expected_at=_day(found.expected),
        delivered_at=on if handed_over else None,
        session_id=session_id,
        status_at=on,
    )


def _day(text: str | None) -> Timestamp | None:
    """The start of a day; None when the bank gives none that can be read."""
    if text is None:
        return None
    try:
        day = date.fromisoformat(text)
    except ValueError:
        return None
    return moment(datetime(day.year, day.month, day.day, tzinfo=UTC))
