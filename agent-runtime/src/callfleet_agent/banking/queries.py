"""What is asked about a session's customer."""

from dataclasses import dataclass
from uuid import UUID

from callfleet_agent.banking.errors import NotVerifiedError
from callfleet_agent.banking.port import Bank
from callfleet_agent.banking.record import ProofStatus
from callfleet_agent.banking.store import TransactionReader


@dataclass(frozen=True, slots=True)
class BankingQueries:
    """The queries on one bank and one store."""

    bank: Bank
    store: TransactionReader

    async def proven(self, session_id: UUID) -> str | None:
        """The bank's own reference of the customer whom the session's caller has proved to be."""
        proof = await self.store.proof_of_session(session_id)
        if proof is None or proof.proof is not ProofStatus.VERIFIED:
            return None
        reference = (proof.response_data or {}).get("reference")
        return None if reference is None else str(reference)

    async def customer_of(self, session_id: UUID, reference: str) -> str:
        """What the session's customer is called who has this reference at the bank.

        Raises:
            NotVerifiedError: the session's caller has not proved to be this customer.
        """
        proof = await self.store.proof_of_session(session_id)
        if (
            proof is None
            or proof.proof is not ProofStatus.VERIFIED
            or (proof.response_data or {}).get("reference") != reference
        ):
            raise NotVerifiedError
        return proof.customer_id

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
