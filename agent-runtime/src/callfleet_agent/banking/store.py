"""What banking needs of a store."""

from collections.abc import Callable
from typing import Protocol
from uuid import UUID

from callfleet_agent.banking.record import BankingTransaction

Admit = Callable[[tuple[BankingTransaction, ...]], None]


class TransactionWriter(Protocol):
    """The side that commands use. Raises StoreUnavailableError when the store cannot be reached."""

    async def begin(
        self, offered: BankingTransaction, admit: Admit | None = None
    ) -> tuple[BankingTransaction, bool]:
        """Record that it was asked for; what is recorded under its id, and whether that is new.

        With `admit`, the customer's earlier authentications are read first, one at a time for each
        customer, and given to it; what it raises refuses a new one.

        Raises:
            SessionNotFoundError: there is no such session.
            SessionEndedError: it has ended.
        """
        ...

    async def answer(self, transaction: BankingTransaction) -> BankingTransaction:
        """Record what the bank answered; an answer that is there already stays, and comes back."""
        ...


class TransactionReader(Protocol):
    """The side that queries use."""

    async def authentications(self, customer_id: str) -> tuple[BankingTransaction, ...]:
        """The authentications of a customer in any session, the oldest first: of those that
        were answered the newest 32, and of those that were not."""
        ...

    async def proof_of_session(self, session_id: UUID) -> BankingTransaction | None:
        """The newest answered authentication of a session.

        Raises:
            SessionNotFoundError: there is no such session.
            SessionEndedError: it has ended.
        """
        ...
