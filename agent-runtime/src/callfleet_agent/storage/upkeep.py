"""The stores' upkeep: partitions ahead, deletion by policy, and sealing again after a new key.

Each is safe to run at any moment, by several at once, and again after a crash.
"""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Column, Table, and_, delete, func, or_, select, text, update
from sqlalchemy.exc import DBAPIError

from callfleet_agent.storage import contexts, sessions, transactions
from callfleet_agent.storage.audit_months import adopt_strays, create_audit_month
from callfleet_agent.storage.database import Database
from callfleet_agent.storage.partitions import (
    MIGRATION_LOCK,
    MONTHS_AHEAD,
    Month,
    create_month,
    drop_month,
    month_of_partition,
    months_from,
)
from callfleet_agent.storage.sealing import Sealer
from callfleet_agent.storage.tables import (
    banking_transactions,
    call_sessions,
    conversation_contexts,
)

_BATCH: Final = 500
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Retention:
    """How long calls are kept after their start, contexts after their time is over (longer than any
    call lasts; a Redis copy is gone by then), and digests of proofs after the proof: what comes
    again so late is refused."""

    calls: timedelta = timedelta(days=395)
    contexts: timedelta = timedelta(days=1)
    proofs: timedelta = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Deleted:
    """What a round of retention took away."""

    months: int
    calls: int
    contexts: int


async def make_partitions(database: Database, now: datetime) -> int:
    """Make this month's partitions and the next ones; how many months could not be made because
    the default partition holds calls of theirs (they stay there, and are kept as well)."""
    await adopt_strays(database)
    missed = 0
    for month in months_from(Month.of(now), MONTHS_AHEAD + 1):
        for statements in (create_month(month), create_audit_month(month)):
            try:
                await _carry_out(database, statements)
            except DBAPIError:
                missed += 1
                _log.warning(
                    "a month's partitions cannot be made",
                    extra={"month": f"{month.year}-{month.month:02}"},
                )
    return missed


async def _carry_out(database: Database, statements: Iterable[str]) -> None:
    async with database.transaction() as connection:
        await connection.execute(text(f"SELECT pg_advisory_xact_lock({MIGRATION_LOCK})"))
        for statement in statements:
            await connection.execute(text(statement))


async def apply_retention(database: Database, retention: Retention, now: datetime) -> Deleted:
    """Delete what the policy no longer keeps: whole months where all is old, rows elsewhere."""
    before = now - retention.calls
    async with database.transaction() as connection:
        await connection.execute(text(f"SELECT pg_advisory_xact_lock({MIGRATION_LOCK})"))
        months = 0
        for month in await _months(connection):
            if month.next.start <= before and await _is_old(connection, month, before):
                for statement in drop_month(month):
                    await connection.execute(text(statement))
                months += 1
    calls = await _delete_rows(database, call_sessions, call_sessions.c.call_start_time < before)
    over = conversation_contexts.c.expires_at < now - retention.contexts
    forgotten = await _delete_rows(database, conversation_contexts, over)
    await _forget_digests(database, now - retention.proofs)
    return Deleted(months, calls, forgotten)


async def _months(connection: Any) -> list[Month]:
    statement = text(
        "SELECT child.relname FROM pg_inherits JOIN pg_class child ON child.oid = inhrelid"
        " WHERE inhparent = 'call_sessions'::regclass ORDER BY 1"
    )
    names = (await connection.execute(statement)).scalars()
    return [month for name in names if (month := month_of_partition(name))]


async def _is_old(connection: Any, month: Month, before: datetime) -> bool:
    """Whether no call in the partition is younger than the policy says, whatever its id says."""
    name = month.partition("call_sessions")
    statement = text(f"SELECT max(call_start_time) FROM {name}")  # noqa: S608, built from a month
    newest = (await connection.execute(statement)).scalar_one()
    return newest is None or newest < before


async def _delete_rows(database: Database, table: Table, which: Any) -> int:
    """In batches, so that no lock is held for long."""
    deleted = 0
    while True:
        batch = select(table.c.session_id).where(which).limit(_BATCH)
        async with database.transaction() as connection:
            result = await connection.execute(delete(table).where(table.c.session_id.in_(batch)))
        deleted += result.rowcount
        if result.rowcount < _BATCH:
            return deleted


async def _forget_digests(database: Database, before: datetime) -> None:
    digest = banking_transactions.c.request_digest
    statement = (
        update(banking_transactions)
        .where(digest.is_not(None), banking_transactions.c.created_at < before)
        .values(request_digest=None)
    )
    async with database.transaction() as connection:
        await connection.execute(statement)


@dataclass(frozen=True, slots=True)
class _Sealed:
    """A table's sealed columns, with the place that each is bound to."""

    table: Table
    key: Column[Any]
    places: Mapping[str, str]

    def place(self, column: str, key: object) -> str:
        return f"{self.places[column]}|{key}"


_SEALED: Final = (
    _Sealed(
        call_sessions,
        call_sessions.c.session_id,
        {"caller_phone_sealed": sessions.PHONE},
    ),
    _Sealed(
        conversation_contexts,
        conversation_contexts.c.session_id,
        {name: f"{contexts.PLACE}.{name}" for name in ("conversation_history", "customer_data")},
    ),
    _Sealed(
        banking_transactions,
        banking_transactions.c.transaction_id,
        {
            "customer_id_sealed": f"{transactions.PLACE}.customer_id",
            "query_parameters": f"{transactions.PLACE}.query_parameters",
            "response_data": f"{transactions.PLACE}.response_data",
        },
    ),
)


async def reseal(database: Database, sealer: Sealer) -> int:
    """Seal with the current key what was sealed with another; how many rows it were."""
    return sum([await _reseal(database, sealer, sealed) for sealed in _SEALED])


async def _reseal(database: Database, sealer: Sealer, sealed: _Sealed) -> int:
    columns = [sealed.table.c[name] for name in sealed.places]
    stale = or_(
        *(
            and_(column.is_not(None), func.jsonb_typeof(column) == "object",
                 column["key"].astext != sealer.current)
            for column in columns
        )
    )  # fmt: skip
    statement = (
        select(sealed.key, sealed.table.c.session_id, *columns)
        .where(stale)
        .limit(_BATCH)
        .with_for_update(skip_locked=True)
    )
    done = 0
    while True:
        async with database.transaction() as connection:
            rows = (await connection.execute(statement)).all()
            for row in rows:
                key, session_id, *values = tuple(row)
                fresh = {
                    name: sealer.seal(
                        sealer.open(value, sealed.place(name, key)), sealed.place(name, key)
                    )
                    for name, value in zip(sealed.places, values, strict=True)
                    if value is not None and not sealer.is_current(value)
                }
                await connection.execute(
                    update(sealed.table)
                    .where(sealed.key == key, sealed.table.c.session_id == session_id)
                    .values(fresh)
                )
        done += len(rows)
        if not rows:
            return done
