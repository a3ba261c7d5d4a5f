"""What a call makes the bank do, recorded before and after.

A request is recorded first, with its id as the bank's idempotency key, and its answer after it: a
service that dies in between asks again with the same key, and the bank acts once.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final, Protocol
from uuid import UUID, uuid5

from callfleet_agent.banking import parameters
from callfleet_agent.banking.errors import (
    LockedOutError,
    ProofLapsedError,
    ProofsUnderWayError,
    TooManyCodesError,
    TransactionReusedError,
)
from callfleet_agent.banking.port import (
    Authentication,
    AuthenticationRequest,
    AuthenticationStatus,
    Bank,
    CardDelivery,
    CardDeliveryRequest,
    TransactionRequest,
)
from callfleet_agent.banking.queries import BankingQueries
from callfleet_agent.banking.record import (
    ASKED_AGAIN_FOR,
    EXPIRED,
    LOCKED_FOR,
    NOT_SENT,
    WISH,
    BankingTransaction,
    ProofStatus,
    TransactionKind,
    Tries,
    may_have_code,
    tries_of,
)
from callfleet_agent.banking.store import TransactionReader, TransactionWriter

# How long a proof waits for others to be answered: a request has 5 seconds in all.
WAITS_S: Final = (0.05, 0.1, 0.2, 0.4, 0.8, 0.8, 0.8, 0.8)
_PROOFS: Final = {
    AuthenticationStatus.VERIFIED: ProofStatus.VERIFIED,
    AuthenticationStatus.REFUSED: ProofStatus.FAILED,
    AuthenticationStatus.LOCKED: ProofStatus.FAILED,
    AuthenticationStatus.UNKNOWN_CALLER: ProofStatus.FAILED,
    AuthenticationStatus.EXPIRED: ProofStatus.FAILED,
    AuthenticationStatus.NOT_SENT: ProofStatus.FAILED,
    AuthenticationStatus.PENDING: ProofStatus.PENDING,
}


class TransactionStore(TransactionReader, TransactionWriter, Protocol):
    """Both sides: a command asks who the session's customer is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Authenticate:
    """A proof of who the caller is. The credential is passed on and kept nowhere; without one the
    bank is to send a code. With `caller_id` the bank is asked whose that is, and `customer_id` is
    what we call them."""

    request_id: UUID
    session_id: UUID
    customer_id: str = field(repr=False)
    method: str
    credential: str | None = field(repr=False)
    caller_id: str | None = field(default=None, repr=False)

    @property
    def parameters(self) -> dict[str, Any]:
        """What of it is kept."""
        return {"method": self.method} | ({WISH: True} if self.credential is None else {})


@dataclass(frozen=True, slots=True, kw_only=True)
class Transact:
    """Something that the bank is to do."""

    transaction_id: UUID
    session_id: UUID
    customer_id: str = field(repr=False)
    kind: TransactionKind
    query_parameters: Mapping[str, Any] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class InquireCard:
    """Where is the card of the session's customer?"""

    request_id: UUID
    session_id: UUID
    customer_id: str = field(repr=False)
    card_id: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of a proof. `known`: whether the bank knows a customer of this caller id.
    `expired`: the code was no longer good, and nothing was counted. PENDING: a code is on its way,
    good until `expires_at` where the bank says so."""

    proof: ProofStatus
    tries: Tries
    known: bool = True
    expired: bool = False
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class BankingCommands:
    """The commands on one bank and one store. `digest` makes a keyed digest of a text: by it a
    proof that comes again is known for the same one, and is kept nowhere."""

    bank: Bank
    store: TransactionStore
    now: Callable[[], datetime]
    digest: Callable[[str], bytes]
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep

    async def authenticate(self, command: Authenticate) -> Verdict:
        """Ask the bank whether a proof is right; a request id counts as one try. Without a
        credential have it send a code, once for each request id.

        Never are more proofs of a customer at the bank than tries are left: one more waits until
        it is known what came of them.

        Raises:
            TransactionReusedError: the id came before, with another proof.
            LockedOutError: there are no tries left.
            TooManyCodesError: no other code may be sent now.
            ProofsUnderWayError: what came of the others is still not known.
            ProofLapsedError: the id came before, and too long ago to be asked for again.
            BankingError: the bank cannot be asked.
        """
        attempt = await self._admitted(command)
        if attempt.response_data is None:
            if self.now() - attempt.created_at >= ASKED_AGAIN_FOR:
                raise ProofLapsedError
            verdict = await self.bank.authenticate_customer(
                AuthenticationRequest(
                    idempotency_key=_key(command.session_id, command.request_id),
                    method=command.method,
                    credential=command.credential,
                    customer_number=None if command.caller_id else command.customer_id,
                    caller_id=command.caller_id,
                )
            )
            attempt = await self.store.answer(
                attempt.answered(_PROOFS[verdict.status], _response(verdict, self.now()))
            )
        past = await self.store.authentications(command.customer_id)
        tries = tries_of(past, self.now())
        if attempt.status == NOT_SENT:
            raise TooManyCodesError
        if attempt.status == AuthenticationStatus.LOCKED:
            tries = Tries(0, tries.locked_until or attempt.created_at + LOCKED_FOR)
        known = attempt.status != AuthenticationStatus.UNKNOWN_CALLER
        expires_at = (attempt.response_data or {}).get("expires_at")
        return Verdict(
            attempt.proof, tries, known, attempt.status == EXPIRED,
            datetime.fromisoformat(expires_at) if expires_at else None,
        )  # fmt: skip

    async def inquire_card(self, command: InquireCard) -> CardDelivery:
        """Ask the bank where the customer's card is; a request id is kept once, and asked of the
        bank as often as it comes.

        Raises:
            NotVerifiedError: the caller has not proved to be this customer.
            TransactionReusedError: the id belongs to another request.
            BankingError: the bank cannot be asked.
        """
        queries = BankingQueries(self.bank, self.store)
        reference = await queries.reference_of(command.session_id, command.customer_id)
        question = await self._begun(
            BankingTransaction(
                transaction_id=command.request_id,
                session_id=command.session_id,
                customer_id=command.customer_id,
                kind=TransactionKind.CARD_INQUIRY,
                proof=ProofStatus.VERIFIED,
                created_at=self.now(),
                query_parameters={"cardId": command.card_id} if command.card_id else {},
            )
        )
        found = await self.bank.query_card_delivery(
            CardDeliveryRequest(
                customer_id=reference, card_id=command.card_id, session_id=command.session_id
            )
        )
        if question.response_data is None:
            answer = {"status": found.status or "none", "date": found.date}
            await self.store.answer(question.answered(ProofStatus.VERIFIED, answer))
        return found

    async def transact(self, command: Transact) -> BankingTransaction:
        """Have the bank do something for the session's customer, once for each transaction id; a
        no of the bank's is an answer.

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
                idempotency_key=_key(command.session_id, command.transaction_id),
                customer_id=reference,
                kind=command.kind,
                parameters=arguments,
            )
        )
        answer = {
            "reference": receipt.transaction_id,
            "result": dict(receipt.result),
            "outcome": receipt.outcome,
            "reason": receipt.reason,
        }
        return await self.store.answer(transaction.answered(ProofStatus.VERIFIED, answer))

    async def _admitted(self, command: Authenticate) -> BankingTransaction:
        for wait_s in WAITS_S:
            try:
                return await self._tried(command)
            except ProofsUnderWayError:
                await self.sleep(wait_s)
        return await self._tried(command)

    async def _tried(self, command: Authenticate) -> BankingTransaction:
        now = self.now()

        def admit(past: tuple[BankingTransaction, ...]) -> None:
            tries = tries_of(past, now)
            if tries.locked_until is not None:
                raise LockedOutError(tries.locked_until)
            if command.credential is None:
                if not may_have_code(past, command.session_id, now):
                    raise TooManyCodesError
            elif not tries.has_room:
                raise ProofsUnderWayError

        return await self._begun(
            BankingTransaction(
                transaction_id=command.request_id,
                session_id=command.session_id,
                customer_id=command.customer_id,
                kind=TransactionKind.AUTHENTICATION,
                proof=ProofStatus.PENDING,
                created_at=now,
                query_parameters=command.parameters,
                digest=self.digest(_told(command)),
            ),
            admit,
            field="request_id",
        )

    async def _begun(
        self,
        offered: BankingTransaction,
        admit: Callable[[tuple[BankingTransaction, ...]], None] | None = None,
        field: str = "transaction_id",
    ) -> BankingTransaction:
        recorded, is_new = await self.store.begin(offered, admit)
        if not is_new and not recorded.is_same_request(offered):
            raise TransactionReusedError(field)
        return recorded


def _told(command: Authenticate) -> str:
    """All that a proof says, so that no two of them are alike."""
    said = (command.session_id, command.request_id, command.method, command.credential or "")
    return "|".join(map(str, said))


def _key(session_id: UUID, request_id: UUID) -> UUID:
    """The bank's idempotency key: a request of another session is another one for the bank too,
    whatever id it has."""
    return uuid5(session_id, str(request_id))


def _response(verdict: Authentication, now: datetime) -> dict[str, str]:
    found = {"status": str(verdict.status)}
    if verdict.expires_in_s is not None:
        found["expires_at"] = (now + timedelta(seconds=verdict.expires_in_s)).isoformat()
    return found | ({"reference": verdict.customer_id} if verdict.customer_id else {})
