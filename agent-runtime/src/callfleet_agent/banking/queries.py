"""What is asked about a session's customer."""

from dataclasses import dataclass
from uuid import UUID

from callfleet_agent.banking.errors import NotVerifiedError
from callfleet_agent.banking.port import Bank, CardDelivery, CardDeliveryRequest
from callfleet_agent.banking.record import ProofStatus
from callfleet_agent.banking.store import TransactionReader


@dataclass(frozen=True, slots=True)
class BankingQueries:
    """The queries on one bank and one store."""

    bank: Bank
    store: TransactionReader

    async def card_delivery(self, session_id: UUID, customer_id: str) -> CardDelivery:
        """Where the customer's card is.

        Raises:
            NotVerifiedError: the session's caller has not proved to be this customer.
        """
        reference = await self.reference_of(session_id, customer_id)
        return await self.bank.query_card_delivery(CardDeliveryRequest(customer_id=reference))

    async def reference_of(self, session_id: UUID, customer_id: str) -> str:
        """The bank's own reference of the session's customer.

        Raises:
            NotVerifiedError: the session's caller has not proved to be this customer.
        """
        proof = await self.store.proof_of_session(session_id)
        if (
            proof is None
            or proof.proof is not ProofStatus.VERIFIED
            or proof.customer_id != customer_id
        ):
            raise NotVerifiedError
        return str((proof.response_data or {})["reference"])
