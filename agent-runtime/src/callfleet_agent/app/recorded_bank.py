"""The bank for one session, with each proof counted and each question recorded before and after it
is asked, as BankingService does for a call by telephone."""

import re
from dataclasses import dataclass
from typing import Final
from uuid import UUID, uuid4, uuid5

from callfleet_agent.banking import (
    Authentication,
    AuthenticationRequest,
    AuthenticationStatus,
    Bank,
    CardDelivery,
    CardDeliveryRequest,
    IntentNotFoundError,
    Outcome,
    TransactionReceipt,
    TransactionRequest,
)
from callfleet_agent.banking.commands import (
    Authenticate,
    BankingCommands,
    InquireCard,
    Transact,
    Verdict,
)
from callfleet_agent.banking.errors import (
    LockedOutError,
    TooManyCodesError,
    TransactionReusedError,
)
from callfleet_agent.banking.queries import BankingQueries
from callfleet_agent.banking.record import (
    MAX_TRIES,
    ProofStatus,
    TransactionKind,
    called_from,
)

_KINDS: Final = frozenset(TransactionKind) - {TransactionKind.AUTHENTICATION}
_NUMBER: Final = re.compile(r"\+?[0-9]{2,19}")
_LOCKED: Final = Authentication(AuthenticationStatus.LOCKED)


@dataclass(frozen=True, slots=True)
class RecordedBank:
    """A Bank whose operations go through the commands."""

    session_id: UUID
    bank: Bank
    commands: BankingCommands

    async def authenticate_customer(self, request: AuthenticationRequest) -> Authentication:
        """Count, ask and record. A caller id that is no number is nobody's."""
        caller = request.caller_id or ""
        if request.customer_number is None and not _NUMBER.fullmatch(caller):
            return Authentication(AuthenticationStatus.UNKNOWN_CALLER)
        customer = request.customer_number or called_from(caller)
        try:
            verdict = await self._tried(customer, request)
        except LockedOutError:
            return _LOCKED
        except TooManyCodesError:
            return Authentication(AuthenticationStatus.NOT_SENT)
        if verdict.proof is not ProofStatus.VERIFIED:
            return _unproven(verdict)
        reference = await self._queries.reference_of(self.session_id, customer)
        return Authentication(AuthenticationStatus.VERIFIED, reference)

    @property
    def _queries(self) -> BankingQueries:
        return BankingQueries(self.bank, self.commands.store)

    async def _tried(self, customer: str, request: AuthenticationRequest) -> Verdict:
        """The verdict on this proof. An attempt that was lost before the dialog knew of it comes
        again under its number, maybe with another proof: that is another try, with an id of its
        own, and no more of them than there are tries."""
        for again in range(MAX_TRIES):
            key = request.idempotency_key
            try:
                return await self.commands.authenticate(
                    Authenticate(
                        request_id=uuid5(key, str(again)) if again else key,
                        session_id=self.session_id,
                        customer_id=customer,
                        method=request.method,
                        credential=request.credential,
                        caller_id=None if request.customer_number else request.caller_id,
                    )
                )
            except TransactionReusedError:
                continue
        raise TransactionReusedError

    async def query_card_delivery(self, request: CardDeliveryRequest) -> CardDelivery:
        """Where the card is of the customer whom the session's caller has proved to be.

        Raises:
            NotVerifiedError: it is another customer's.
        """
        customer = await self._queries.customer_of(self.session_id, request.customer_id)
        return await self.commands.inquire_card(
            InquireCard(
                request_id=uuid4(),
                session_id=self.session_id,
                customer_id=customer,
                card_id=request.card_id,
            )
        )

    async def process_transaction(self, request: TransactionRequest) -> TransactionReceipt:
        """Done for the customer whom the session's caller has proved to be, once for each
        idempotency key.

        Raises:
            NotVerifiedError: it is another customer's.
            IntentNotFoundError: there is no such transaction.
        """
        if request.kind not in _KINDS:
            raise IntentNotFoundError("unknown_kind", "there is no such transaction")
        customer = await self._queries.customer_of(self.session_id, request.customer_id)
        done = await self.commands.transact(
            Transact(
                transaction_id=request.idempotency_key,
                session_id=self.session_id,
                customer_id=customer,
                kind=TransactionKind(request.kind),
                query_parameters=request.parameters,
            )
        )
        told = done.response_data or {}
        return TransactionReceipt(
            transaction_id=str(told["reference"]),
            kind=request.kind,
            result=told["result"],
            outcome=Outcome(told["outcome"]),
            reason=str(told["reason"]),
        )

    async def close(self) -> None:
        """The connections are shared, and stay."""


def _unproven(verdict: Verdict) -> Authentication:
    if not verdict.known:
        return Authentication(AuthenticationStatus.UNKNOWN_CALLER)
    if verdict.proof is ProofStatus.PENDING:
        return Authentication(AuthenticationStatus.PENDING)
    if verdict.expired:
        return Authentication(AuthenticationStatus.EXPIRED)
    return Authentication(AuthenticationStatus.REFUSED) if verdict.tries.left else _LOCKED
