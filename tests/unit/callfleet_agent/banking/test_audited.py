"""Every banking operation is written down before it is done, and what came of it."""

from dataclasses import replace
from datetime import UTC, datetime
from uuid import uuid4

import pytest

from callfleet_agent.banking import (
    Authentication,
    AuthenticationRequest,
    AuthenticationStatus,
    BankUnavailableError,
    CardDelivery,
    CardDeliveryRequest,
    CardStatus,
    TransactionRequest,
)
from callfleet_agent.banking.audit import AuditEntry, Occasion
from callfleet_agent.banking.audited import AuditedBank, AuditedCommands, Auditor
from callfleet_agent.banking.commands import Authenticate, InquireCard, Transact, Verdict
from callfleet_agent.banking.errors import AuditUnavailableError, NotVerifiedError
from callfleet_agent.banking.port import TransactionReceipt
from callfleet_agent.banking.record import BankingTransaction, ProofStatus, TransactionKind, Tries

AT = datetime(2026, 11, 25, tzinfo=UTC)
SESSION, REQUEST = uuid4(), uuid4()


class FakeLog:
    """Keeps entries; fails from the `fails_at`th one on."""

    def __init__(self, fails_at: int = 99) -> None:
        self.entries: list[AuditEntry] = []
        self._fails_at = fails_at

    async def append(self, entry: AuditEntry) -> None:
        if len(self.entries) + 1 >= self._fails_at:
            raise AuditUnavailableError
        self.entries.append(entry)

    @property
    def told(self) -> list[tuple[str, str, str]]:
        return [(entry.phase, entry.operation, entry.outcome) for entry in self.entries]


class FakeBanking:
    """Does what it is asked, or fails, and counts."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.asked = 0

    def _do(self) -> None:
        self.asked += 1
        if self.error is not None:
            raise self.error

    async def authenticate(self, command: Authenticate) -> Verdict:
        self._do()
        if command.method == "one-time-code":
            if command.credential is None:
                return Verdict(ProofStatus.PENDING, Tries(3))
            return Verdict(ProofStatus.FAILED, Tries(3), expired=True)
        return Verdict(ProofStatus.FAILED, Tries(2))

    async def transact(self, command: Transact) -> BankingTransaction:
        self._do()
        return BankingTransaction(
            transaction_id=command.transaction_id, session_id=command.session_id,
            customer_id=command.customer_id, kind=command.kind, proof=ProofStatus.VERIFIED,
            created_at=AT,
        )  # fmt: skip

    async def inquire_card(self, command: InquireCard) -> CardDelivery:
        self._do()
        return CardDelivery(status=CardStatus.SHIPPED)

    async def authenticate_customer(self, request: AuthenticationRequest) -> Authentication:
        self._do()
        return Authentication(AuthenticationStatus.VERIFIED, "c-1")

    async def query_card_delivery(self, request: CardDeliveryRequest) -> CardDelivery:
        self._do()
        return CardDelivery(status=None)

    async def process_transaction(self, request: TransactionRequest) -> TransactionReceipt:
        self._do()
        return TransactionReceipt(transaction_id="t", kind=request.kind)

    async def close(self) -> None:
        self.asked = -1


def auditor(log: FakeLog) -> Auditor:
    return Auditor(log, lambda: AT, lambda: Occasion("spiffe://somebody", "c-id"))


PROOF = Authenticate(
    request_id=REQUEST, session_id=SESSION, customer_id="200417", method="card-last-four",
    credential="4271",
)  # fmt: skip
ORDER = Transact(
    transaction_id=REQUEST, session_id=SESSION, customer_id="200417",
    kind=TransactionKind.CARD_BLOCK,
)  # fmt: skip


async def test_both_entries_of_each_operation_of_the_service() -> None:
    log, inner = FakeLog(), FakeBanking()
    await AuditedCommands(inner, auditor(log)).authenticate(PROOF)
    await AuditedCommands(inner, auditor(log)).transact(ORDER)
    question = InquireCard(request_id=REQUEST, session_id=SESSION, customer_id="200417")
    await AuditedCommands(inner, auditor(log)).inquire_card(question)
    assert log.told == [
        ("ASKED", "AUTHENTICATION", ""), ("ENDED", "AUTHENTICATION", "failed"),
        ("ASKED", "CARD_BLOCK", ""), ("ENDED", "CARD_BLOCK", "done"),
        ("ASKED", "CARD_DELIVERY", ""), ("ENDED", "CARD_DELIVERY", "done"),
    ]  # fmt: skip
    first = log.entries[0]
    assert (first.request_id, first.session_id, first.customer_id) == (REQUEST, SESSION, "200417")
    assert first.occasion == Occasion("spiffe://somebody", "c-id")
    assert "200417" not in repr(first)
    assert log.entries[4].request_id == REQUEST


async def test_that_a_code_was_sent_and_came_too_late_is_in_it() -> None:
    log = FakeLog()
    commands = AuditedCommands(FakeBanking(), auditor(log))
    await commands.authenticate(replace(PROOF, method="one-time-code", credential=None))
    await commands.authenticate(replace(PROOF, method="one-time-code", credential="918273"))
    ended = [outcome for phase, _, outcome in log.told if phase == "ENDED"]
    assert ended == ["pending", "expired"]


async def test_and_of_a_bank_that_is_asked_directly() -> None:
    log, inner = FakeLog(), FakeBanking()
    bank = AuditedBank(inner, auditor(log))
    await bank.authenticate_customer(
        AuthenticationRequest(
            idempotency_key=REQUEST, method="pin", credential="1", caller_id="+15550123"
        )
    )
    await bank.query_card_delivery(CardDeliveryRequest(customer_id="c-1"))
    await bank.process_transaction(
        TransactionRequest(idempotency_key=REQUEST, customer_id="c-1", kind="CARD_BLOCK")
    )
    await bank.close()
    assert [told for told in log.told if told[0] == "ENDED"] == [
        ("ENDED", "AUTHENTICATION", "verified"),
        ("ENDED", "CARD_DELIVERY", "done"),
        ("ENDED", "CARD_BLOCK", "done"),
    ]
    assert inner.asked == -1


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (NotVerifiedError(), "not_verified"),
        (BankUnavailableError("bank_slow", "slow"), "bank_slow"),
        (RuntimeError("4271"), "failed"),
    ],
)
async def test_a_refusal_and_a_failure_are_outcomes_too(error: Exception, outcome: str) -> None:
    log = FakeLog()
    with pytest.raises(type(error)):
        await AuditedCommands(FakeBanking(error), auditor(log)).transact(ORDER)
    assert log.told[-1] == ("ENDED", "CARD_BLOCK", outcome)


async def test_what_cannot_be_written_down_is_not_done() -> None:
    inner = FakeBanking()
    with pytest.raises(AuditUnavailableError) as caught:
        await AuditedCommands(inner, auditor(FakeLog(fails_at=1))).transact(ORDER)
    assert inner.asked == 0
    assert (caught.value.code, caught.value.retry) == ("audit_away", True)


async def test_an_outcome_that_cannot_be_written_down_is_not_told() -> None:
    inner, log = FakeBanking(), FakeLog(fails_at=2)
    with pytest.raises(AuditUnavailableError):
        await AuditedCommands(inner, auditor(log)).authenticate(PROOF)
    assert (inner.asked, log.told) == (1, [("ASKED", "AUTHENTICATION", "")])
