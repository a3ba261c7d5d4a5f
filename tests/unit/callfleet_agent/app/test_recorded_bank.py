"""What a dialog hears of a proof that is recorded."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from callfleet_agent.app.recorded_bank import RecordedBank
from callfleet_agent.banking import (
    AuthenticationRequest,
    AuthenticationStatus,
    CardDelivery,
    CardDeliveryRequest,
    CardStatus,
    IntentNotFoundError,
    Outcome,
    TransactionRequest,
)
from callfleet_agent.banking.commands import Authenticate, InquireCard, Transact, Verdict
from callfleet_agent.banking.errors import (
    LockedOutError,
    NotVerifiedError,
    TooManyCodesError,
    TransactionReusedError,
)
from callfleet_agent.banking.record import (
    BankingTransaction,
    ProofStatus,
    TransactionKind,
    Tries,
)

SESSION, KEY = UUID(int=1), UUID(int=2)
LOCKED = datetime.now(UTC) + timedelta(minutes=1)
CARD = CardDeliveryRequest(customer_id="c-200417", session_id=SESSION)
PROOF = BankingTransaction(
    transaction_id=KEY,
    session_id=SESSION,
    customer_id="200417",
    kind=TransactionKind.AUTHENTICATION,
    proof=ProofStatus.VERIFIED,
    created_at=LOCKED,
    response_data={"status": "verified", "reference": "c-200417"},
)


class FakeProofs:
    """What one session's caller has proved."""

    def __init__(self, proof: BankingTransaction | None) -> None:
        self._proof = proof

    async def proof_of_session(self, _: UUID) -> BankingTransaction | None:
        return self._proof


class FakeCommands:
    """Answers in turn."""

    def __init__(self, *answers: Verdict | Exception, store: FakeProofs | None = None) -> None:
        self.answers = list(answers)
        self.asked: list[Authenticate] = []
        self.inquired: list[InquireCard] = []
        self.transacted: list[Transact] = []
        self.store = store

    async def authenticate(self, command: Authenticate) -> Verdict:
        self.asked.append(command)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def inquire_card(self, command: InquireCard) -> CardDelivery:
        self.inquired.append(command)
        return CardDelivery(status=CardStatus.SHIPPED)

    async def transact(self, command: Transact) -> BankingTransaction:
        self.transacted.append(command)
        answer = {"reference": "t-1", "result": {}, "outcome": "declined", "reason": "lost"}
        return replace(
            PROOF, kind=command.kind, query_parameters=command.query_parameters
        ).answered(ProofStatus.VERIFIED, answer)


def asking(commands: Any) -> RecordedBank:
    unasked: Any = None  # the bank is the commands' to ask
    return RecordedBank(SESSION, unasked, commands)


def request(**more: Any) -> AuthenticationRequest:
    given = {"credential": "918273", "customer_number": "200417", **more}
    return AuthenticationRequest(idempotency_key=KEY, method="one-time-code", **given)


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (Verdict(ProofStatus.PENDING, Tries(3)), AuthenticationStatus.PENDING),
        (Verdict(ProofStatus.FAILED, Tries(2)), AuthenticationStatus.REFUSED),
        (Verdict(ProofStatus.FAILED, Tries(0, LOCKED)), AuthenticationStatus.LOCKED),
        (Verdict(ProofStatus.FAILED, Tries(3), expired=True), AuthenticationStatus.EXPIRED),
        (LockedOutError(LOCKED), AuthenticationStatus.LOCKED),
        (TooManyCodesError(), AuthenticationStatus.NOT_SENT),
    ],
)
async def test_verdicts(answer: Verdict | Exception, status: AuthenticationStatus) -> None:
    commands = FakeCommands(answer)
    found = await asking(commands).authenticate_customer(request())
    assert found.status is status
    assert commands.asked[0].request_id == KEY


async def test_a_wish_for_a_code_has_no_credential() -> None:
    commands = FakeCommands(Verdict(ProofStatus.PENDING, Tries(3)))
    await asking(commands).authenticate_customer(request(credential=None))
    assert commands.asked[0].credential is None


async def test_an_attempt_that_was_lost_is_another_try_with_an_id_of_its_own() -> None:
    commands = FakeCommands(TransactionReusedError(), Verdict(ProofStatus.FAILED, Tries(1)))
    found = await asking(commands).authenticate_customer(request())
    assert found.status is AuthenticationStatus.REFUSED
    assert len({command.request_id for command in commands.asked}) == 2


def from_number(caller_id: str) -> AuthenticationRequest:
    return request(customer_number=None, caller_id=caller_id)


async def test_a_caller_id_is_counted_under_its_number() -> None:
    commands = FakeCommands(
        Verdict(ProofStatus.FAILED, Tries(2)), Verdict(ProofStatus.FAILED, Tries(3), known=False)
    )
    wrong = await asking(commands).authenticate_customer(from_number("+15550123"))
    unknown = await asking(commands).authenticate_customer(from_number("+15550124"))
    assert wrong.status is AuthenticationStatus.REFUSED
    assert unknown.status is AuthenticationStatus.UNKNOWN_CALLER
    assert [(one.customer_id, one.caller_id) for one in commands.asked] == [
        ("caller.15550123", "+15550123"), ("caller.15550124", "+15550124"),
    ]  # fmt: skip


async def test_a_caller_id_that_is_no_number_is_nobodys() -> None:
    commands = FakeCommands()
    found = await asking(commands).authenticate_customer(from_number("anonymous"))
    assert (found.status, commands.asked) == (AuthenticationStatus.UNKNOWN_CALLER, [])


class TestCards:
    async def test_a_question_is_recorded_under_the_customer_that_was_proved(self) -> None:
        commands = FakeCommands(store=FakeProofs(PROOF))
        found = await asking(commands).query_card_delivery(CARD)
        assert found.status is CardStatus.SHIPPED
        assert [(one.session_id, one.customer_id) for one in commands.inquired] == [
            (SESSION, "200417")
        ]

    @pytest.mark.parametrize(
        "proof",
        [
            None,
            replace(PROOF, proof=ProofStatus.FAILED),
            replace(PROOF, response_data={"reference": "c-200418"}),
        ],
    )
    async def test_of_nobody_else(self, proof: BankingTransaction | None) -> None:
        commands = FakeCommands(store=FakeProofs(proof))
        with pytest.raises(NotVerifiedError):
            await asking(commands).query_card_delivery(CARD)
        assert commands.inquired == []


class TestTransactions:
    REQUEST = TransactionRequest(
        idempotency_key=KEY, customer_id="c-200417", kind="CARD_BLOCK", parameters={"reason": "x"}
    )

    async def test_one_is_recorded_under_the_customer_that_was_proved(self) -> None:
        commands = FakeCommands(store=FakeProofs(PROOF))
        receipt = await asking(commands).process_transaction(self.REQUEST)
        assert (receipt.transaction_id, receipt.outcome, receipt.reason) == (
            "t-1", Outcome.DECLINED, "lost",
        )  # fmt: skip
        (command,) = commands.transacted
        assert (command.transaction_id, command.session_id) == (KEY, SESSION)
        assert (command.customer_id, command.kind) == ("200417", TransactionKind.CARD_BLOCK)

    async def test_for_nobody_else(self) -> None:
        commands = FakeCommands(store=FakeProofs(None))
        with pytest.raises(NotVerifiedError):
            await asking(commands).process_transaction(self.REQUEST)
        assert commands.transacted == []

    @pytest.mark.parametrize("kind", ["AUTHENTICATION", "GOLD"])
    async def test_there_are_no_others(self, kind: str) -> None:
        commands = FakeCommands(store=FakeProofs(PROOF))
        with pytest.raises(IntentNotFoundError):
            await asking(commands).process_transaction(replace(self.REQUEST, kind=kind))
