"""The audit log in PostgreSQL: rows that are only added, each chained to the one before.

A month is a partition and has several streams, so that operations do not wait for one another; an
operation's entries go to the stream of its session. The database refuses to change or delete a
row, and the chain shows what was done by somebody who can make it.
"""

from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    DateTime,
    Index,
    LargeBinary,
    Row,
    String,
    Table,
    func,
    insert,
    select,
)
from sqlalchemy.dialects.postgresql import UUID
from sqlalchemy.exc import IntegrityError

from callfleet_agent.banking.audit import AuditEntry
from callfleet_agent.banking.audit_archive import Note
from callfleet_agent.banking.audit_chain import (
    AuditRow,
    Broken,
    Head,
    StreamCheck,
    digest_of,
    genesis,
    key_of,
    seal_of,
)
from callfleet_agent.banking.errors import AuditUnavailableError
from callfleet_agent.storage.database import Database
from callfleet_agent.storage.errors import StoreUnavailableError
from callfleet_agent.storage.sealing import Sealer
from callfleet_agent.storage.tables import CUSTOMER_LENGTH, metadata

STREAMS: Final = 8
_BATCH: Final = 1000

audit_entries: Final = Table(
    "audit_entries",
    metadata,
    Column("stream", String(32), primary_key=True),
    Column("sequence", BigInteger, primary_key=True, autoincrement=False),
    Column("at", DateTime(timezone=True), nullable=False),
    Column("phase", String(10), nullable=False),
    Column("operation", String(50), nullable=False),
    Column("outcome", String(50), nullable=False),
    Column("request_id", UUID()),
    Column("session_id", UUID()),
    Column("actor", String(400), nullable=False),
    Column("correlation_id", String(36), nullable=False),
    Column("customer", String(100), nullable=False),
    Column("previous", LargeBinary, nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Column("seal", LargeBinary, nullable=False),
    Index("idx_audit_entries_session_id", "session_id"),
    Index("idx_audit_entries_customer", "customer", "at"),
    postgresql_partition_by="RANGE (stream)",
)
_COLUMNS = tuple(audit_entries.c)


def stream_of(entry: AuditEntry) -> str:
    """Month and number, such as 2026-11.3."""
    whose = entry.session_id or entry.request_id
    return f"{entry.at:%Y-%m}.{0 if whose is None else whose.int % STREAMS}"


class PostgresAuditLog:
    """AuditLog on PostgreSQL."""

    def __init__(self, database: Database, sealer: Sealer) -> None:
        self._database = database
        self._sealer = sealer
        self._key = key_of(sealer.index_key)

    async def append(self, entry: AuditEntry) -> None:
        """Chain it to the end of its stream; one at a time for each stream.

        Raises:
            AuditUnavailableError: it was not written.
        """
        row = AuditRow(
            stream=stream_of(entry),
            sequence=0,
            at=entry.at,
            phase=entry.phase,
            operation=entry.operation,
            outcome=entry.outcome,
            request_id=entry.request_id,
            session_id=entry.session_id,
            actor=entry.occasion.actor,
            correlation_id=entry.occasion.correlation_id,
            customer=self._sealer.fingerprint(entry.customer_id, CUSTOMER_LENGTH),
            previous=b"",
        )
        try:
            await self._append(row)
        except (StoreUnavailableError, IntegrityError) as error:
            raise AuditUnavailableError from error

    async def _append(self, row: AuditRow) -> None:
        lock = func.pg_advisory_xact_lock(func.hashtextextended(f"audit {row.stream}", 0))
        last = (
            select(audit_entries.c.sequence, audit_entries.c.digest)
            .where(audit_entries.c.stream == row.stream)
            .order_by(audit_entries.c.sequence.desc())
            .limit(1)
        )
        async with self._database.transaction() as connection:
            await connection.execute(select(lock))
            found = (await connection.execute(last)).first()
            head = Head(0, genesis(row.stream)) if found is None else Head(found[0], found[1])
            chained = replace(row, sequence=head.sequence + 1, previous=head.digest)
            digest = digest_of(chained)
            whole = replace(chained, digest=digest, seal=seal_of(digest, self._key))
            await connection.execute(insert(audit_entries).values(_values(whole)))


@dataclass(frozen=True, slots=True)
class Audited:
    """What a verification found."""

    rows: int
    heads: Mapping[str, Head]
    broken: tuple[Broken, ...]


async def verify(
    database: Database,
    sealer: Sealer,
    anchors: Mapping[str, Head] | None = None,
    archived: Iterable[Note] = (),
) -> Audited:
    """Follow every stream from its beginning; `anchors`: the ends of an earlier verification;
    `archived`: what is left of the streams that have left the database."""
    archived = tuple(archived)
    known, key = dict(anchors or {}), key_of(sealer.index_key)
    async with database.transaction() as connection:
        streams = select(audit_entries.c.stream).distinct()
        names: set[str] = set((await connection.execute(streams)).scalars())
    rows, broken = 0, []
    heads: dict[str, Head] = {}
    gone = {note.stream: note.head for note in archived}
    for note in archived:
        if (fault := note.fault(key, known.get(note.stream))) is not None:
            broken.append(fault)
        heads[note.stream] = note.head
    for stream in sorted((names | set(known)) - (set(gone) - names)):
        check = StreamCheck(stream, key, known.get(stream) or gone.get(stream))
        found = None
        async with rows_of(database, audit_entries.c.stream == stream) as stored:
            async for row in stored:
                rows += 1
                if (found := check.follow(row)) is not None:
                    break
        if (found := found or check.end()) is not None:
            broken.append(found)
        heads[stream] = check.head
    return Audited(rows, heads, tuple(broken))


@asynccontextmanager
async def rows_of(
    database: Database, *which: ColumnElement[bool]
) -> AsyncIterator[AsyncIterator[AuditRow]]:
    """Rows in the order of their streams, a batch at a time."""
    statement = (
        select(*_COLUMNS)
        .where(*which)
        .order_by(audit_entries.c.stream, audit_entries.c.sequence)
        .execution_options(yield_per=_BATCH)
    )

    async def rows(result: Any) -> AsyncIterator[AuditRow]:
        async for row in result:
            yield _row(row)

    async with database.transaction() as connection:
        yield rows(await connection.stream(statement))


_NAMES: Final = tuple(column.name for column in _COLUMNS)
_PLAIN: Final[Mapping[str, Callable[[Any], Any]]] = dict.fromkeys(
    ("previous", "digest", "seal"), bytes
)


def _row(row: Row[Any]) -> AuditRow:
    given = {name: getattr(row, name) for name in _NAMES}
    return AuditRow(**given | {name: make(given[name]) for name, make in _PLAIN.items()})


def _values(row: AuditRow) -> dict[str, Any]:
    return {name: getattr(row, name) for name in _NAMES}
