"""The bank for one session, with each proof counted and recorded before and after it is asked."""

from dataclasses import dataclass
from typing import Final
from uuid import UUID

from callfleet_agent.banking import (
    Authentication,
    AuthenticationRequest,
    AuthenticationStatus,
    Bank,
    CardDelivery,
    CardDeliveryRequest,
    TransactionReceipt,
    TransactionRequest,
)
from callfleet_agent.banking.commands import Authenticate, BankingCommands
from callfleet_agent.banking.errors import LockedOutError
from callfleet_agent.banking.queries import BankingQueries
from callfleet_agent.banking.record import ProofStatus

_LOCKED: Final = Authentication(AuthenticationStatus.LOCKED)


@dataclass(frozen=True, slots=True)
class RecordedBank:
    """A Bank whose authentications go through the commands."""

    session_id: UUID
    bank: Bank
    commands: BankingCommands

    async def authenticate_customer(self, request: AuthenticationRequest) -> Authentication:
        """Count, ask and record; a caller id names no customer yet, and is passed on."""
        number = request.customer_number
        if number is None:
            return await self.bank.authenticate_customer(request)
        try:
            verdict = await self.commands.authenticate(
                Authenticate(
                    request_id=request.idempotency_key,
                    session_id=self.session_id,
                    customer_id=number,
                    method=request.method,
                    credential=request.credential,
                )
            )
        except LockedOutError:
            return _LOCKED
        if verdict.proof is not ProofStatus.VERIFIED:
            return Authentication(AuthenticationStatus.REFUSED) if verdict.tries.left else _LOCKED
        queries = BankingQueries(self.bank, self.commands.store)
        reference = await queries.reference_of(self.session_id, number)
        return Authentication(AuthenticationStatus.VERIFIED, reference)

    async def query_card_delivery(self, request: CardDeliveryRequest) -> CardDelivery:
        """Where a card is."""
        return await self.bank.query_card_delivery(request)

    async def process_transaction(self, request: TransactionRequest) -> TransactionReceipt:
        """Not for a dialog: transactions go through BankingService."""
        return await self.bank.process_transaction(request)

    async def close(self) -> None:
        """The connections are shared, and stay."""
