"""Banking transactions in PostgreSQL."""

from typing import Any, Final
from uuid import UUID

from sqlalchemy import ColumnElement, Row, Select, func, select, union_all, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from callfleet_agent.banking.record import BankingTransaction, ProofStatus, TransactionKind
from callfleet_agent.banking.store import Admit
from callfleet_agent.session.access import WhoAsks, upkeep
from callfleet_agent.storage.database import Database
from callfleet_agent.storage.sealing import Sealer
from callfleet_agent.storage.sessions import hold_active
from callfleet_agent.storage.tables import CUSTOMER_LENGTH, banking_transactions

_COLUMNS = tuple(banking_transactions.c)
_REMEMBERED: Final = 32
PLACE: Final = "banking_transactions"


class PostgresTransactions:
    """TransactionReader and TransactionWriter on PostgreSQL."""

    def __init__(self, database: Database, sealer: Sealer, asks: WhoAsks = upkeep) -> None:
        self._database = database
        self._sealer = sealer
        self._asks = asks

    async def begin(
        self, offered: BankingTransaction, admit: Admit | None = None
    ) -> tuple[BankingTransaction, bool]:
        """Record it unless its id is there; with `admit` one at a time for each customer."""
        async with self._database.transaction() as connection:
            await hold_active(connection, offered.session_id, self._asks())
            if admit is not None:
                customer = self._fingerprint(offered.customer_id)
                await connection.execute(
                    select(func.pg_advisory_xact_lock(func.hashtextextended(customer, 0)))
                )
            row = (await connection.execute(_by_id(offered))).first()
            if row is not None:
                return self._transaction(row), False
            if admit is not None:
                admit(await self._authentications(connection, offered.customer_id))
            statement = (
                insert(banking_transactions)
                .values(self._values(offered))
                .on_conflict_do_nothing(index_elements=["transaction_id", "session_id"])
                .returning(*_COLUMNS)
            )
            made = (await connection.execute(statement)).first()
            if made is not None:
                return self._transaction(made), True
            return self._transaction((await connection.execute(_by_id(offered))).one()), False

    async def answer(self, transaction: BankingTransaction) -> BankingTransaction:
        """Record an answer where there is none."""
        values = self._values(transaction)
        statement = (
            update(banking_transactions)
            .where(
                banking_transactions.c.transaction_id == transaction.transaction_id,
                banking_transactions.c.session_id == transaction.session_id,
                banking_transactions.c.response_data.is_(None),
            )
            .values(
                authentication_status=values["authentication_status"],
                response_data=values["response_data"],
            )
            .returning(*_COLUMNS)
        )
        async with self._database.transaction() as connection:
            row = (await connection.execute(statement)).first()
            if row is None:
                row = (await connection.execute(_by_id(transaction))).one()
        return self._transaction(row)

    async def authentications(self, customer_id: str) -> tuple[BankingTransaction, ...]:
        """The newest authentications of a customer, the oldest first."""
        async with self._database.transaction() as connection:
            return await self._authentications(connection, customer_id)

    async def _authentications(
        self, connection: AsyncConnection, customer_id: str
    ) -> tuple[BankingTransaction, ...]:
        # Each sort has room of its own: proofs that are never answered push no wrong one out. One
        # statement, so that one that is being answered is in one of them.
        fingerprint = self._fingerprint(customer_id)
        answer = banking_transactions.c.response_data
        both = union_all(
            _newest(fingerprint, answer.is_not(None)), _newest(fingerprint, answer.is_(None))
        ).subquery()
        rows = (await connection.execute(select(both).order_by(both.c.created_at))).all()
        return tuple(self._transaction(row) for row in rows)

    async def proof_of_session(self, session_id: UUID) -> BankingTransaction | None:
        """The newest answered authentication of a session that goes on."""
        statement = (
            select(*_COLUMNS)
            .where(
                banking_transactions.c.session_id == session_id,
                banking_transactions.c.transaction_type == TransactionKind.AUTHENTICATION,
                banking_transactions.c.response_data.is_not(None),
            )
            .order_by(
                banking_transactions.c.created_at.desc(), banking_transactions.c.transaction_id
            )
            .limit(1)
        )
        async with self._database.transaction() as connection:
            await hold_active(connection, session_id, self._asks())
            row = (await connection.execute(statement)).first()
        return None if row is None else self._transaction(row)

    def _fingerprint(self, customer_id: str) -> str:
        return self._sealer.fingerprint(customer_id, CUSTOMER_LENGTH)

    def _values(self, transaction: BankingTransaction) -> dict[str, Any]:
        def sealed(value: object, column: str) -> dict[str, str]:
            return self._sealer.seal(value, place(column, transaction.transaction_id))

        response = transaction.response_data
        return {
            "transaction_id": transaction.transaction_id,
            "session_id": transaction.session_id,
            "customer_id": self._fingerprint(transaction.customer_id),
            "customer_id_sealed": sealed(transaction.customer_id, "customer_id"),
            "transaction_type": transaction.kind,
            "authentication_status": transaction.proof,
            "query_parameters": sealed(dict(transaction.query_parameters), "query_parameters"),
            "response_data": None if response is None else sealed(dict(response), "response_data"),
            "created_at": transaction.created_at,
            "request_digest": transaction.digest or None,
        }

    def _transaction(self, row: Row[Any]) -> BankingTransaction:
        def opened(value: object, column: str) -> Any:
            return self._sealer.open(value, place(column, row.transaction_id))

        response = row.response_data
        return BankingTransaction(
            transaction_id=row.transaction_id,
            session_id=row.session_id,
            customer_id=opened(row.customer_id_sealed, "customer_id"),
            kind=TransactionKind(row.transaction_type),
            proof=ProofStatus(row.authentication_status),
            created_at=row.created_at,
            query_parameters=opened(row.query_parameters, "query_parameters"),
            response_data=None if response is None else opened(response, "response_data"),
            digest=bytes(row.request_digest or b""),
        )


def place(column: str, transaction_id: UUID) -> str:
    """What a sealed column is bound to."""
    return f"{PLACE}.{column}|{transaction_id}"


def _by_id(transaction: BankingTransaction) -> Any:
    return select(*_COLUMNS).where(
        banking_transactions.c.transaction_id == transaction.transaction_id,
        banking_transactions.c.session_id == transaction.session_id,
    )


def _newest(customer: str, sort: ColumnElement[bool]) -> Select[Any]:
    found = (
        select(*_COLUMNS)
        .where(
            banking_transactions.c.customer_id == customer,
            banking_transactions.c.transaction_type == TransactionKind.AUTHENTICATION,
            sort,
        )
        .order_by(banking_transactions.c.created_at.desc(), banking_transactions.c.transaction_id)
        .limit(_REMEMBERED)
    )
    return select(found.subquery())
