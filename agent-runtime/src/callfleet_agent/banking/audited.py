"""Banking with every operation in the audit log: asked for before, what came of it after.

What cannot be written down is not done.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol
from uuid import UUID

from callfleet_agent.banking.audit import AuditEntry, AuditLog, Occasion, Operation, Phase
from callfleet_agent.banking.commands import Authenticate, InquireCard, Transact, Verdict
from callfleet_agent.banking.errors import BankingError
from callfleet_agent.banking.port import (
    Authentication,
    AuthenticationRequest,
    Bank,
    CardDelivery,
    CardDeliveryRequest,
    Outcome,
    TransactionReceipt,
    TransactionRequest,
)
from callfleet_agent.banking.record import EXPIRED, UNKNOWN_CALLER, BankingTransaction

DONE = "done"
FAILED = "failed"  # an error that is none of the bank's


class Commands(Protocol):
    """What changes something, as BankingCommands has it."""

    async def authenticate(self, command: Authenticate) -> Verdict: ...
    async def transact(self, command: Transact) -> BankingTransaction: ...
    async def inquire_card(self, command: InquireCard) -> CardDelivery: ...


@dataclass(slots=True)
class Course:
    """An operation under way: what came of it is filled in."""

    outcome: str = DONE


@dataclass(frozen=True, slots=True)
class Auditor:
    """Writes the two entries of an operation. `occasion` says who asks, at the time of asking."""

    log: AuditLog
    now: Callable[[], datetime]
    occasion: Callable[[], Occasion]

    @asynccontextmanager
    async def operation(
        self, name: str, customer_id: str, request_id: UUID | None, session_id: UUID | None = None
    ) -> AsyncIterator[Course]:
        """Around an operation; an error is an outcome like any other.

        Raises:
            AuditUnavailableError: nothing was done, or it is not known what came of it.
        """
        course = Course()
        kept = _Kept(self, name, customer_id, request_id, session_id, self.occasion())
        await kept.write(Phase.ASKED, "")
        try:
            yield course
        except BankingError as error:
            course.outcome = error.code
            raise
        except BaseException:
            course.outcome = FAILED
            raise
        finally:
            await kept.write(Phase.ENDED, course.outcome)


@dataclass(frozen=True, slots=True)
class _Kept:
    """What both entries say."""

    auditor: Auditor
    operation: str
    customer_id: str = field(repr=False)
    request_id: UUID | None
    session_id: UUID | None
    occasion: Occasion

    async def write(self, phase: Phase, outcome: str) -> None:
        await self.auditor.log.append(
            AuditEntry(
                at=self.auditor.now(),
                phase=phase,
                operation=self.operation,
                outcome=outcome,
                request_id=self.request_id,
                session_id=self.session_id,
                occasion=self.occasion,
                customer_id=self.customer_id,
            )
        )


@dataclass(frozen=True, slots=True)
class AuditedCommands:
    """Commands of the banking service. A proof or transaction that is refused here, because there
    are no tries left or the caller is not this customer, is in the log too."""

    inner: Commands
    auditor: Auditor

    async def authenticate(self, command: Authenticate) -> Verdict:
        """See BankingCommands; raises AuditUnavailableError when it cannot be written down."""
        async with self.auditor.operation(
            Operation.AUTHENTICATION, command.customer_id, command.request_id, command.session_id
        ) as course:
            verdict = await self.inner.authenticate(command)
            course.outcome = EXPIRED if verdict.expired else verdict.proof.lower()
            course.outcome = course.outcome if verdict.known else UNKNOWN_CALLER
        return verdict

    async def transact(self, command: Transact) -> BankingTransaction:
        """See BankingCommands; raises AuditUnavailableError when it cannot be written down."""
        async with self.auditor.operation(
            command.kind, command.customer_id, command.transaction_id, command.session_id
        ) as course:
            done = await self.inner.transact(command)
            if done.is_declined:
                course.outcome = Outcome.DECLINED
        return done

    async def inquire_card(self, command: InquireCard) -> CardDelivery:
        """See BankingCommands; raises AuditUnavailableError when it cannot be written down."""
        async with self.auditor.operation(
            Operation.CARD_DELIVERY, command.customer_id, command.request_id, command.session_id
        ):
            return await self.inner.inquire_card(command)


class AuditedBank:
    """A bank that is asked directly; without a session it is found by the correlation id."""

    def __init__(self, inner: Bank, auditor: Auditor, session_id: UUID | None = None) -> None:
        self._inner = inner
        self._auditor = auditor
        self._session_id = session_id

    async def authenticate_customer(self, request: AuthenticationRequest) -> Authentication:
        """See Bank."""
        customer = request.customer_number or request.caller_id or ""
        async with self._auditor.operation(
            Operation.AUTHENTICATION,
            customer,
            request.idempotency_key,
            self._session_id or request.session_id,
        ) as course:
            verdict = await self._inner.authenticate_customer(request)
            course.outcome = str(verdict.status)
        return verdict

    async def query_card_delivery(self, request: CardDeliveryRequest) -> CardDelivery:
        """See Bank."""
        async with self._auditor.operation(
            Operation.CARD_DELIVERY,
            request.customer_id,
            None,
            self._session_id or request.session_id,
        ):
            return await self._inner.query_card_delivery(request)

    async def process_transaction(self, request: TransactionRequest) -> TransactionReceipt:
        """See Bank."""
        async with self._auditor.operation(
            request.kind,
            request.customer_id,
            request.idempotency_key,
            self._session_id or request.session_id,
        ) as course:
            receipt = await self._inner.process_transaction(request)
            if receipt.outcome is Outcome.DECLINED:
                course.outcome = Outcome.DECLINED
        return receipt

    async def close(self) -> None:
        """See Bank."""
        await self._inner.close()
