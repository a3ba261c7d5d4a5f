"""Proofs of one customer that come at the same time, on a real store: three tries, and no more."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest

from callfleet_agent.banking.commands import Authenticate, BankingCommands, Verdict
from callfleet_agent.banking.errors import (
    BankUnavailableError,
    LockedOutError,
    ProofLapsedError,
    ProofsUnderWayError,
)
from callfleet_agent.banking.port import (
    Authentication,
    AuthenticationRequest,
    AuthenticationStatus,
    CardDelivery,
    CardDeliveryRequest,
    TransactionReceipt,
    TransactionRequest,
)
from callfleet_agent.banking.record import LOCKED_FOR, UNANSWERED_COUNTS_FOR, ProofStatus
from callfleet_agent.session.record import CallSession
from callfleet_agent.storage.sessions import PostgresSessions
from callfleet_agent.storage.transactions import PostgresTransactions
from stores import Server, database, migrated, sealer

NOON = datetime(2026, 11, 26, 12, tzinfo=UTC)
RIGHT, WRONG = "4271", "0000"
SESSION = UUID(int=1)
VERIFIED, FAILED = ProofStatus.VERIFIED, ProofStatus.FAILED


@dataclass
class SlowBank:
    """Judges a proof when the test says so; counts no tries of its own."""

    asked: list[str | None] = field(default_factory=list)
    judging: asyncio.Event = field(default_factory=asyncio.Event)
    asks: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(0))
    is_away: bool = False

    async def has_been_asked(self, times: int) -> None:
        async with asyncio.timeout(60):
            for _ in range(times):
                await self.asks.acquire()

    async def authenticate_customer(self, request: AuthenticationRequest) -> Authentication:
        self.asked.append(request.credential)
        self.asks.release()
        if self.is_away:
            raise BankUnavailableError("bank_slow", "the bank did not answer in time")
        await self.judging.wait()
        is_right = request.credential == RIGHT
        status = AuthenticationStatus.VERIFIED if is_right else AuthenticationStatus.REFUSED
        return Authentication(status, "reference" if is_right else None)

    async def query_card_delivery(self, request: CardDeliveryRequest) -> CardDelivery:
        raise NotImplementedError

    async def process_transaction(self, request: TransactionRequest) -> TransactionReceipt:
        raise NotImplementedError

    async def close(self) -> None: ...


@dataclass
class Proofs:
    """The commands on a clock that only waiting and the test move. While the bank is going to judge
    (`will_judge`), a proof waits until another one is over, or nobody else is at work."""

    bank: SlowBank
    store: PostgresTransactions
    now: datetime = NOON
    will_judge: bool = False
    at_work: int = 0
    over: int = 0
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    def __post_init__(self) -> None:
        self.commands = BankingCommands(
            self.bank, self.store, lambda: self.now, str.encode, self._wait
        )

    async def _wait(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)
        if not self.will_judge:
            return
        before = self.over
        await self._count(at_work=-1)
        async with self.changed:
            await self.changed.wait_for(lambda: self.over > before or not self.at_work)
        await self._count(at_work=+1)

    async def _count(self, *, at_work: int, over: int = 0) -> None:
        async with self.changed:
            self.at_work += at_work
            self.over += over
            self.changed.notify_all()

    async def give(self, credential: str, request_id: UUID | None = None) -> Verdict:
        self.now += timedelta(microseconds=1)
        await self._count(at_work=+1)
        try:
            return await self.commands.authenticate(
                Authenticate(
                    request_id=request_id or uuid4(),
                    session_id=SESSION,
                    customer_id="200417",
                    method="card_last_digits",
                    credential=credential,
                )
            )
        finally:
            await self._count(at_work=-1, over=1)

    async def judged(self, *credentials: str) -> list[Verdict | BaseException]:
        """What comes of proofs that are all there before the bank judges the first."""
        self.will_judge = True
        tasks = [asyncio.create_task(self.give(credential)) for credential in credentials]
        await self.bank.has_been_asked(3)
        self.bank.judging.set()
        return await asyncio.gather(*tasks, return_exceptions=True)


@asynccontextmanager
async def proving(url: str) -> AsyncIterator[Proofs]:
    await asyncio.to_thread(migrated, url)
    async with database(url) as connected:
        await PostgresSessions(connected, sealer()).create(
            CallSession(session_id=SESSION, sip_call_id="x", call_start_time=NOON)
        )
        yield Proofs(SlowBank(), PostgresTransactions(connected, sealer()))


@pytest.fixture
async def proofs(postgres: Server) -> AsyncIterator[Proofs]:
    async with proving(postgres.url) as running:
        yield running


async def test_right_proofs_at_the_same_time_lock_nobody_out(proofs: Proofs) -> None:
    verdicts = await proofs.judged(*[RIGHT] * 6)
    assert [isinstance(one, Verdict) and one.proof for one in verdicts] == [VERIFIED] * 6
    assert len(proofs.bank.asked) == 6


async def test_a_right_proof_behind_two_wrong_ones_is_judged(proofs: Proofs) -> None:
    wrong, other, right = await proofs.judged(WRONG, WRONG, RIGHT)
    assert isinstance(right, Verdict)
    assert right.proof is VERIFIED
    for one in (wrong, other):  # none says that no try is left: that was not known
        assert isinstance(one, Verdict)
        assert one.tries.left > 0
        assert one.tries.locked_until is None


async def test_whoever_guesses_in_parallel_has_three_tries(proofs: Proofs) -> None:
    guesses = await proofs.judged(*[WRONG] * 12)
    judged = [one for one in guesses if isinstance(one, Verdict)]
    refused = [one for one in guesses if isinstance(one, LockedOutError)]
    assert (len(judged), len(refused)) == (3, 9)
    assert proofs.bank.asked == [WRONG] * 3
    with pytest.raises(LockedOutError):
        await proofs.give(RIGHT)
    proofs.now += LOCKED_FOR + timedelta(seconds=5)
    assert (await proofs.give(RIGHT)).proof is VERIFIED


async def test_proofs_that_nobody_answers_are_no_lock_out(proofs: Proofs) -> None:
    tasks = [asyncio.create_task(proofs.give(RIGHT)) for _ in range(3)]
    await proofs.bank.has_been_asked(3)
    began = proofs.now
    with pytest.raises(ProofsUnderWayError):
        await proofs.give(RIGHT)
    assert timedelta(seconds=3) < proofs.now - began < timedelta(seconds=5)
    proofs.now += UNANSWERED_COUNTS_FOR
    proofs.bank.judging.set()
    assert (await proofs.give(RIGHT)).proof is VERIFIED
    await asyncio.gather(*tasks)


async def test_proofs_laid_up_while_the_bank_is_away_are_no_more_tries(proofs: Proofs) -> None:
    proofs.bank.is_away = True
    laid_up = [uuid4() for _ in range(9)]
    for number, request_id in enumerate(laid_up):
        with pytest.raises(BankUnavailableError):
            await proofs.give(WRONG, request_id)
        if number % 3 == 2:
            proofs.now += UNANSWERED_COUNTS_FOR
    proofs.bank.is_away = False
    proofs.bank.judging.set()
    proofs.bank.asked.clear()
    for request_id in laid_up:
        with pytest.raises(ProofLapsedError):
            await proofs.give(WRONG, request_id)
    assert proofs.bank.asked == []


async def test_a_proof_whose_answer_was_lost_is_asked_again_by_its_id(proofs: Proofs) -> None:
    proofs.bank.is_away, proof = True, uuid4()
    with pytest.raises(BankUnavailableError):
        await proofs.give(WRONG, proof)
    proofs.bank.is_away = False
    proofs.bank.judging.set()
    verdict = await proofs.give(WRONG, proof)
    assert (verdict.proof, verdict.tries.left) == (FAILED, 2)
    assert (await proofs.give(WRONG, proof)).tries.left == 2


async def test_unanswered_proofs_push_no_wrong_one_out_of_sight(proofs: Proofs) -> None:
    proofs.bank.judging.set()
    await proofs.give(WRONG)
    proofs.bank.is_away = True
    for _ in range(34):
        with pytest.raises(BankUnavailableError):
            await proofs.give(WRONG)
        proofs.now += timedelta(seconds=16)
    proofs.bank.is_away = False
    assert proofs.now - NOON < LOCKED_FOR
    assert (await proofs.give(WRONG)).tries.left == 1
