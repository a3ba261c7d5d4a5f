"""What a call makes the bank do, recorded before and after.

A request is recorded first, with its id as the bank's idempotency key, and its answer after it: a
service that dies in between asks again with the same key, and the bank acts once.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Protocol
from uuid import UUID

from callfleet_agent.banking import parameters
from callfleet_agent.banking.errors import LockedOutError, TransactionReusedError
from callfleet_agent.banking.port import (
    Authentication,
    AuthenticationRequest,
    AuthenticationStatus,
    Bank,
    TransactionRequest,
)
from callfleet_agent.banking.queries import BankingQueries
from callfleet_agent.banking.record import (
    LOCKED_FOR,
    BankingTransaction,
    ProofStatus,
    TransactionKind,
    Tries,
    tries_of,
)
from callfleet_agent.banking.store import TransactionReader, TransactionWriter

_PROOFS: Final = {
    AuthenticationStatus.VERIFIED: ProofStatus.VERIFIED,
    AuthenticationStatus.REFUSED: ProofStatus.FAILED,
    AuthenticationStatus.LOCKED: ProofStatus.FAILED,
    AuthenticationStatus.UNKNOWN_CALLER: ProofStatus.FAILED,
}


class TransactionStore(TransactionReader, TransactionWriter, Protocol):
    """Both sides: a command asks who the session's customer is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Authenticate:
    """A proof of who the caller is. The credential is passed on and kept nowhere."""

    request_id: UUID
    session_id: UUID
    customer_id: str = field(repr=False)
    method: str
    credential: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Transact:
    """Something that the bank is to do."""

    transaction_id: UUID
    session_id: UUID
    customer_id: str = field(repr=False)
    kind: TransactionKind
    query_parameters: Mapping[str, Any] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of a proof."""

    proof: ProofStatus
    tries: Tries


@dataclass(frozen=True, slots=True)
class BankingCommands:
    """The commands on one bank and one store."""

    bank: Bank
    store: TransactionStore
    now: Callable[[], datetime]

    async def authenticate(self, command: Authenticate) -> Verdict:
        """Ask the bank whether a proof is right; a request id counts as one try.

        Raises:
            LockedOutError: there are no tries left.
            BankingError: the bank cannot be asked.
        """
        now = self.now()

        def admit(past: tuple[BankingTransaction, ...]) -> None:
            tries = tries_of(past, now)
            if tries.locked_until is not None:
                raise LockedOutError(tries.locked_until)

        attempt = await self._begun(
            BankingTransaction(
                transaction_id=command.request_id,
                session_id=command.session_id,
                customer_id=command.customer_id,
                kind=TransactionKind.AUTHENTICATION,
                proof=ProofStatus.PENDING,
                created_at=now,
                query_parameters={"method": command.method},
            ),
            admit,
        )
        if attempt.response_data is None:
            verdict = await self.bank.authenticate_customer(
                AuthenticationRequest(
                    idempotency_key=command.request_id,
                    method=command.method,
                    credential=command.credential,
                    customer_number=command.customer_id,
                )
            )
            attempt = await self.store.answer(
                attempt.answered(_PROOFS[verdict.status], _response(verdict))
            )
        past = await self.store.authentications(command.customer_id)
        tries = tries_of(past, self.now())
        if (attempt.response_data or {}).get("status") == AuthenticationStatus.LOCKED:
            tries = Tries(0, tries.locked_until or attempt.created_at + LOCKED_FOR)
        return Verdict(attempt.proof, tries)

    async def transact(self, command: Transact) -> BankingTransaction:
        """Have the bank do something for the session's customer, once for each transaction id.

        Raises:
            NotVerifiedError: the caller has not proved to be this customer.
            ParametersError: an argument is not one.
            TransactionReusedError: the id belongs to another request.
            BankingError: the bank cannot be asked; its outcome is asked for with the same id.
        """
        arguments = parameters.checked(command.kind, command.query_parameters)
        queries = BankingQueries(self.bank, self.store)
        reference = await queries.reference_of(command.session_id, command.customer_id)
        transaction = await self._begun(
            BankingTransaction(
                transaction_id=command.transaction_id,
                session_id=command.session_id,
                customer_id=command.customer_id,
                kind=command.kind,
                proof=ProofStatus.VERIFIED,
                created_at=self.now(),
                query_parameters=arguments,
            )
        )
        if transaction.response_data is not None:
            return transaction
        receipt = await self.bank.process_transaction(
            TransactionRequest(
                idempotency_key=command.transaction_id,
                customer_id=reference,
                kind=command.kind,
                parameters=arguments,
            )
        )
        answer = {"reference": receipt.transaction_id, "result": dict(receipt.result)}
        return await self.store.answer(transaction.answered(ProofStatus.VERIFIED, answer))

    async def _begun(
        self,
        offered: BankingTransaction,
        admit: Callable[[tuple[BankingTransaction, ...]], None] | None = None,
    ) -> BankingTransaction:
        recorded, is_new = await self.store.begin(offered, admit)
        if not is_new and not recorded.is_same_request(offered):
            raise TransactionReusedError
        return recorded


def _response(verdict: Authentication) -> dict[str, str]:
    found = {"status": str(verdict.status)}
    return found | ({"reference": verdict.customer_id} if verdict.customer_id else {})
