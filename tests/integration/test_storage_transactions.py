"""Banking transactions on PostgreSQL against a model: what is begun, answered, asked for again, and
by whom. Two owners, two sessions, few ids: everything meets everything."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from callfleet_agent.banking.record import BankingTransaction, ProofStatus, TransactionKind
from callfleet_agent.session.access import Access
from callfleet_agent.session.record import CallSession, SessionStatus
from callfleet_agent.storage.database import Database
from callfleet_agent.storage.sessions import PostgresSessions
from callfleet_agent.storage.transactions import PostgresTransactions
from stores import Server, database, migrated, sealer

NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)
OWNERS = ("spiffe://callfleet.io/ns/a/voiceagent/x", "spiffe://callfleet.io/ns/b/voiceagent/x")
SESSIONS = {UUID(int=1): OWNERS[0], UUID(int=2): OWNERS[1]}
IDS = [UUID(int=number) for number in range(10, 13)]
owners, ids = st.sampled_from(OWNERS), st.sampled_from(IDS)
sessions = st.sampled_from([*SESSIONS, UUID(int=3)])
kinds = st.sampled_from([TransactionKind.AUTHENTICATION, TransactionKind.CARD_BLOCK])
digests = st.sampled_from([b"one", b"other"])
steps = st.one_of(
    st.tuples(st.just("begin"), owners, sessions, ids, kinds, digests),
    st.tuples(st.just("answer"), owners, sessions, ids, st.sampled_from(["VERIFIED", "FAILED"])),
    st.tuples(st.just("end"), st.sampled_from(list(SESSIONS))),
    st.tuples(st.just("proof"), owners, sessions),
)


class Model:
    """Plain dictionaries and the rules in words."""

    def __init__(self) -> None:
        self.ended: set[UUID] = set()
        self.kept: dict[tuple[UUID, UUID], dict[str, Any]] = {}
        self.time = 0

    def _session(self, owner: str, session: UUID) -> str:
        if SESSIONS.get(session) != owner:
            return "SessionNotFoundError"
        return "SessionEndedError" if session in self.ended else ""

    def begin(
        self, owner: str, session: UUID, key: UUID, kind: TransactionKind, digest: bytes
    ) -> object:
        if refused := self._session(owner, session):
            return refused
        is_new = (session, key) not in self.kept
        if is_new:
            self.time += 1
            self.kept[session, key] = {
                "kind": kind, "digest": digest, "at": self.time, "proof": "PENDING", "answer": None,
            }  # fmt: skip
        found = self.kept[session, key]
        return (is_new, found["kind"], found["digest"], found["answer"])

    def answer(self, owner: str, session: UUID, key: UUID, proof: str) -> object:
        found = self.kept.get((session, key))
        if found is None:
            return None
        if found["answer"] is None:
            found["proof"], found["answer"] = proof, {"status": proof}
        return (found["proof"], found["answer"])

    def end(self, session: UUID) -> object:
        self.ended.add(session)
        return None

    def proof(self, owner: str, session: UUID) -> object:
        if refused := self._session(owner, session):
            return refused
        answered = [
            one
            for (of, _), one in self.kept.items()
            if of == session and one["answer"] and one["kind"] is TransactionKind.AUTHENTICATION
        ]
        newest = max(answered, key=lambda one: one["at"], default=None)
        return None if newest is None else newest["proof"]


class Real:
    """The same on PostgreSQL."""

    def __init__(self, connected: Database) -> None:
        self.acting = OWNERS[0]
        self.time = 0
        asks = lambda: Access(self.acting)  # noqa: E731
        self.sessions = PostgresSessions(connected, sealer(), asks)
        self.transactions = PostgresTransactions(connected, sealer(), asks)
        self.begun: dict[tuple[UUID, UUID], BankingTransaction] = {}

    async def prepare(self) -> None:
        for session, owner in SESSIONS.items():
            self.acting = owner
            made = CallSession(session_id=session, sip_call_id="x", call_start_time=NOON)
            await self.sessions.create(made)

    async def begin(
        self, owner: str, session: UUID, key: UUID, kind: TransactionKind, digest: bytes
    ) -> object:
        self.acting = owner
        offered = BankingTransaction(
            transaction_id=key, session_id=session, customer_id="200417", kind=kind,
            proof=ProofStatus.PENDING, created_at=NOON + timedelta(seconds=self.time + 1),
            query_parameters={"a": 1}, digest=digest,
        )  # fmt: skip
        recorded, is_new = await self.transactions.begin(offered)
        self.time += is_new
        self.begun[session, key] = recorded
        assert recorded.query_parameters == {"a": 1}
        return (is_new, recorded.kind, recorded.digest, recorded.response_data)

    async def answer(self, owner: str, session: UUID, key: UUID, proof: str) -> object:
        begun = self.begun.get((session, key))
        if begun is None:
            return None
        done = await self.transactions.answer(begun.answered(ProofStatus(proof), {"status": proof}))
        return (done.proof, done.response_data)

    async def end(self, session: UUID) -> object:
        self.acting = SESSIONS[session]
        await self.sessions.change(
            session, None, lambda one: one.ended(SessionStatus.COMPLETED, NOON)
        )
        return None

    async def proof(self, owner: str, session: UUID) -> object:
        self.acting = owner
        found = await self.transactions.proof_of_session(session)
        return None if found is None else found.proof


async def outcome(real: Real, step: tuple[Any, ...]) -> object:
    name, *arguments = step
    try:
        return await getattr(real, name)(*arguments)
    except Exception as error:
        return type(error).__name__


def test_transactions_do_what_a_model_does(postgres: Server) -> None:
    migrated(postgres.url)

    async def walk(given_steps: list[tuple[Any, ...]]) -> None:
        async with database(postgres.url) as connected:
            async with connected.transaction() as connection:
                await connection.execute(text("TRUNCATE call_sessions CASCADE"))
            model, real = Model(), Real(connected)
            await real.prepare()
            for step in given_steps:
                name, *arguments = step
                assert await outcome(real, step) == getattr(model, name)(*arguments), step

    @settings(
        max_examples=30,
        deadline=None,
        derandomize=True,
        suppress_health_check=[HealthCheck.too_slow],
    )
    @given(st.lists(steps, min_size=4, max_size=16))
    def property_holds(given_steps: list[tuple[Any, ...]]) -> None:
        asyncio.run(walk(given_steps))

    property_holds()
