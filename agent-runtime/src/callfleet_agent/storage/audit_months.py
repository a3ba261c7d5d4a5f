"""The audit log by months: partitions ahead, and old months into files.

Only whole months leave, verified, after their file is on the disk; a month whose chain is broken
stays. The rows' triggers refuse to delete; a partition is detached and dropped, which its owner
may do and a service's role may not.
"""

import asyncio
import hashlib
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Column,
    DateTime,
    LargeBinary,
    String,
    Table,
    func,
    insert,
    select,
    text,
)

from callfleet_agent.banking.audit_archive import Note, check_file, packed
from callfleet_agent.banking.audit_chain import AuditRow, Broken, Fault, Head, key_of
from callfleet_agent.storage.audit import Audited, audit_entries, rows_of
from callfleet_agent.storage.database import Database
from callfleet_agent.storage.errors import StorageError
from callfleet_agent.storage.partitions import MIGRATION_LOCK, Month, month_of_partition
from callfleet_agent.storage.sealing import Sealer
from callfleet_agent.storage.tables import metadata

AUDIT: Final = "audit_entries"
SHORTEST: Final = timedelta(days=31)

audit_archives: Final = Table(
    "audit_archives",
    metadata,
    Column("stream", String(32), primary_key=True),
    Column("rows", BigInteger, nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Column("file", String(255), nullable=False),
    Column("sha256", LargeBinary, nullable=False),
    Column("archived_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("seal", LargeBinary, nullable=False),
)


class ArchiveError(StorageError):
    """A month cannot be archived: its chain is broken, or it was changed meanwhile."""


@dataclass(frozen=True, slots=True)
class Archived:
    """A month that has left."""

    month: str
    rows: int
    file: Path


def name_of(month: Month) -> str:
    """As streams are named."""
    return f"{month.year:04}-{month.month:02}"


def create_audit_month(month: Month) -> tuple[str, ...]:
    """Statements that make a month's partition; emptying it is refused like the whole."""
    partition = month.partition(AUDIT)
    return (
        f"CREATE TABLE IF NOT EXISTS {partition} PARTITION OF {AUDIT} "
        f"FOR VALUES FROM ('{name_of(month)}') TO ('{name_of(month.next)}')",
        f"DROP TRIGGER IF EXISTS keep_all_audit_entries ON {partition}",
        f"CREATE TRIGGER keep_all_audit_entries BEFORE TRUNCATE ON {partition}"
        " FOR EACH STATEMENT EXECUTE FUNCTION refuse_change_of_audit()",
        f"ALTER TABLE {partition} ENABLE ALWAYS TRIGGER keep_all_audit_entries",
        f"ALTER TABLE {partition} ENABLE ALWAYS TRIGGER keep_audit_entries",
    )


async def adopt_strays(database: Database) -> int:
    """Give the rows of months that were not made in time a partition of their own; how many months
    it were. A partition that is detached has no triggers for its rows."""
    stray = f"{AUDIT}_default"
    months = text(f"SELECT DISTINCT left(stream, 7) FROM {stray} ORDER BY 1")  # noqa: S608
    async with database.transaction() as connection:
        await connection.execute(text(f"SELECT pg_advisory_xact_lock({MIGRATION_LOCK})"))
        names: list[str] = list((await connection.execute(months)).scalars())
        if not names:
            return 0
        await connection.execute(text(f"ALTER TABLE {AUDIT} DETACH PARTITION {stray}"))
        for name in names:
            for statement in create_audit_month(Month(int(name[:4]), int(name[5:]))):
                await connection.execute(text(statement))
        for statement in (
            f"INSERT INTO {AUDIT} SELECT * FROM {stray}",  # noqa: S608
            f"DELETE FROM {stray}",  # noqa: S608
            f"ALTER TABLE {AUDIT} ATTACH PARTITION {stray} DEFAULT",
            f"ALTER TABLE {stray} ENABLE ALWAYS TRIGGER keep_audit_entries",
        ):
            await connection.execute(text(statement))
    return len(names)


async def archive(
    database: Database,
    sealer: Sealer,
    folder: Path,
    *,
    before: datetime,
    anchors: Mapping[str, Head],
) -> list[Archived]:
    """Move the months that ended before a moment into files of a folder.

    Raises:
        ArchiveError: a month is broken; it stays, those before it have left.
    """
    done = []
    for month in await _months(database):
        if month.next.start <= before:
            left = await _archive_month(database, sealer, folder, month, anchors)
            done += [left] if left else []
    return done


async def _months(database: Database) -> list[Month]:
    statement = text(
        "SELECT child.relname FROM pg_inherits JOIN pg_class child ON child.oid = inhrelid"
        " WHERE inhparent = 'audit_entries'::regclass ORDER BY 1"
    )
    async with database.transaction() as connection:
        names: list[str] = list((await connection.execute(statement)).scalars())
    return [month for name in names if (month := month_of_partition(name, AUDIT))]


async def _archive_month(
    database: Database, sealer: Sealer, folder: Path, month: Month, anchors: Mapping[str, Head]
) -> Archived | None:
    """None for a month without rows: its partition goes, and there is nothing to tell."""
    rows = await _rows(database, month)
    if not rows:
        await _drop(database, month, 0, [])
        return None
    key, data = key_of(sealer.index_key), packed(rows)
    heads, broken = check_file(data, key, anchors)
    _refuse(broken, month)
    file = folder / f"audit-{name_of(month)}.jsonl.gz"
    await asyncio.to_thread(_write, file, data)
    kept = hashlib.sha256(data).digest()
    left = [
        Note(
            stream=stream, rows=head.sequence, digest=head.digest, file=file.name, sha256=kept
        ).sealed(key)
        for stream, head in heads.items()
    ]
    await _drop(database, month, len(rows), left)
    return Archived(name_of(month), len(rows), file)


def _refuse(broken: tuple[Broken, ...], month: Month) -> None:
    if broken:
        first = broken[0]
        raise ArchiveError(
            f"{name_of(month)} stays: stream {first.stream} row {first.sequence}: {first.fault}"
        )


async def _rows(database: Database, month: Month) -> list[AuditRow]:
    """All of a month; in memory, a row has some 400 bytes."""
    low, high = name_of(month), name_of(month.next)
    which = (audit_entries.c.stream >= low, audit_entries.c.stream < high)
    async with rows_of(database, *which) as stored:
        return [row async for row in stored]


def _write(file: Path, data: bytes) -> None:
    """On the disk under its name, whole, before anything is dropped."""
    draft = file.with_suffix(".draft")
    with draft.open("wb") as output:
        output.write(data)
        output.flush()
        os.fsync(output.fileno())
    draft.replace(file)
    folder = os.open(file.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
    if file.read_bytes() != data:
        raise ArchiveError(f"{file.name} is not what was written")


async def _drop(database: Database, month: Month, rows: int, left: list[Note]) -> None:
    partition = month.partition(AUDIT)
    async with database.transaction() as connection:
        await connection.execute(text(f"SELECT pg_advisory_xact_lock({MIGRATION_LOCK})"))
        await connection.execute(text(f"ALTER TABLE {AUDIT} DETACH PARTITION {partition}"))
        counted = text(f"SELECT count(*) FROM {partition}")  # noqa: S608, built from a month
        there: int = (await connection.execute(counted)).scalar_one()
        if there != rows:
            raise ArchiveError(f"{name_of(month)} stays: it was changed meanwhile")
        if left:
            await connection.execute(insert(audit_archives), [_values(note) for note in left])
        await connection.execute(text(f"DROP TABLE {partition}"))


async def notes(database: Database) -> list[Note]:
    """What is left of the months that have left."""
    statement = select(audit_archives).order_by(audit_archives.c.stream)
    async with database.transaction() as connection:
        found = (await connection.execute(statement)).all()
    return [
        Note(
            stream=row.stream,
            rows=row.rows,
            digest=bytes(row.digest),
            file=row.file,
            sha256=bytes(row.sha256),
            seal=bytes(row.seal),
        )
        for row in found
    ]


def of_files(
    found: Audited,
    left: Iterable[Note],
    folder: Path,
    sealer: Sealer,
    anchors: Mapping[str, Head],
) -> Audited:
    """What was found, and what the files of the months that have left say: each file must be the
    one that its notes are of, and its chains must hold to their ends."""
    by_file: dict[str, list[Note]] = {}
    for note in left:
        by_file.setdefault(note.file, []).append(note)
    rows, broken = found.rows, list(found.broken)
    for name, of in by_file.items():
        heads, faults = _followed(folder / name, of, sealer, anchors)
        rows += sum(head.sequence for head in heads.values())
        broken += faults
        broken += [
            Broken(note.stream, note.rows, Fault.CUT)
            for note in of
            if not faults and heads.get(note.stream) != note.head
        ]
    return Audited(rows, found.heads, tuple(broken))


def _followed(
    file: Path, of: list[Note], sealer: Sealer, anchors: Mapping[str, Head]
) -> tuple[dict[str, Head], list[Broken]]:
    try:
        data = file.read_bytes()
        heads, faults = check_file(data, key_of(sealer.index_key), anchors)
    except (OSError, ValueError):
        return {}, [Broken(note.stream, 0, Fault.MISSING) for note in of]
    if not faults and hashlib.sha256(data).digest() != of[0].sha256:
        return heads, [Broken(note.stream, note.rows, Fault.REWRITTEN) for note in of]
    return heads, list(faults)


def _values(note: Note) -> dict[str, Any]:
    names = ("stream", "rows", "digest", "file", "sha256", "seal")
    return {name: getattr(note, name) for name in names}
