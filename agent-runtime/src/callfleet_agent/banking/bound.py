"""The bank for one conversation: nobody is asked about who was not authenticated in it."""

from callfleet_agent.banking.errors import NotVerifiedError
from callfleet_agent.banking.port import (
    Authentication,
    AuthenticationRequest,
    AuthenticationStatus,
    Bank,
    CardDelivery,
    CardDeliveryRequest,
    TransactionReceipt,
    TransactionRequest,
)


class BoundBank:
    """A Bank that answers for the customers whom it has itself verified in this conversation.

    `customer` is the one whom a conversation that goes on came with. Whatever asks, a dialog with a
    mistake or a model that was talked into something, other customers do not exist here. Raises
    NotVerifiedError without asking the bank.
    """

    def __init__(self, bank: Bank, customer: str | None = None) -> None:
        self._bank = bank
        self._verified = set() if customer is None else {customer}

    async def authenticate_customer(self, request: AuthenticationRequest) -> Authentication:
        """Whether the credential is the customer's."""
        verdict = await self._bank.authenticate_customer(request)
        if verdict.status is AuthenticationStatus.VERIFIED and verdict.customer_id is not None:
            self._verified.add(verdict.customer_id)
        return verdict

    async def query_card_delivery(self, request: CardDeliveryRequest) -> CardDelivery:
        """Where the customer's card is."""
        self._check(request.customer_id)
        return await self._bank.query_card_delivery(request)

    async def process_transaction(self, request: TransactionRequest) -> TransactionReceipt:
        """Does something for the customer."""
        self._check(request.customer_id)
        return await self._bank.process_transaction(request)

    async def close(self) -> None:
        """The connections are shared, and stay."""

    def _check(self, customer: str) -> None:
        if customer not in self._verified:
            raise NotVerifiedError
