"""The audit log by months on a real PostgreSQL: partitions, and old months into files."""

import asyncio
import shutil
from base64 import b64encode
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from callfleet_agent.app.cli.root import callfleet
from callfleet_agent.banking.audit import AuditEntry, Occasion, Phase
from callfleet_agent.banking.audit_chain import Fault
from callfleet_agent.storage import audit
from callfleet_agent.storage.audit_months import ArchiveError, archive, notes
from callfleet_agent.storage.database import Database
from callfleet_agent.storage.schema import migrate
from callfleet_agent.storage.upkeep import make_partitions
from helm import rendered
from stores import INDEX_KEY, KEYS, Server, database, sealer

SEPTEMBER = datetime(2026, 9, 20, tzinfo=UTC)
OCTOBER, NOVEMBER = SEPTEMBER + timedelta(days=30), SEPTEMBER + timedelta(days=60)


def entry(number: int, at: datetime, session: int = 5) -> AuditEntry:
    return AuditEntry(
        at=at, phase=Phase.ASKED, operation="CARD_BLOCK", outcome="",
        request_id=UUID(int=number), session_id=UUID(int=session),
        occasion=Occasion("spiffe://callfleet.io/ns/bank/voiceagent/card-line", str(uuid4())),
        customer_id="200417",
    )  # fmt: skip


async def filled(connected: Database) -> audit.Audited:
    """Three months with rows in two streams each."""
    await migrate(connected)
    assert await make_partitions(connected, SEPTEMBER) == 0
    log = audit.PostgresAuditLog(connected, sealer())
    for at in (SEPTEMBER, OCTOBER, NOVEMBER):
        for number in range(1, 5):
            await log.append(entry(number, at, session=5 + number % 2))
    return await audit.verify(connected, sealer())


async def values(connected: Database, sql: str) -> list[Any]:
    async with connected.transaction() as connection:
        return list((await connection.execute(text(sql))).scalars())


async def run(connected: Database, *statements: str) -> None:
    async with connected.transaction() as connection:
        for statement in statements:
            await connection.execute(text(statement))


def names_in(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


WHERE = "SELECT DISTINCT tableoid::regclass::text FROM audit_entries ORDER BY 1"


async def test_rows_go_to_their_month_and_no_partition_is_changed_or_emptied(
    postgres: Server,
) -> None:
    async with database(postgres.url) as connected:
        await filled(connected)
        partitions = [f"audit_entries_y2026m{month:02}" for month in (9, 10, 11)]
        assert await values(connected, WHERE) == partitions
        for statement in (
            "TRUNCATE audit_entries",
            "TRUNCATE audit_entries_y2026m09",
            "TRUNCATE audit_entries_default",
            "DELETE FROM audit_entries_y2026m09",
            "UPDATE audit_entries_y2026m10 SET outcome = 'x'",
            "SET LOCAL session_replication_role = replica; DELETE FROM audit_entries_y2026m09",
            "SET LOCAL session_replication_role = replica; TRUNCATE audit_entries_y2026m09",
        ):
            with pytest.raises(DBAPIError, match="never changed or deleted"):
                await run(connected, *statement.split("; "))


async def test_old_months_leave_and_the_log_is_still_whole(
    postgres: Server, tmp_path: Path
) -> None:
    async with database(postgres.url) as connected:
        anchors = dict((await filled(connected)).heads)
        gone = await archive(
            connected, sealer(), tmp_path, before=datetime(2026, 11, 1, tzinfo=UTC), anchors=anchors
        )
        again = await archive(
            connected, sealer(), tmp_path, before=datetime(2026, 11, 1, tzinfo=UTC), anchors=anchors
        )
        left = await notes(connected)
        found = await audit.verify(connected, sealer(), anchors, left)
        unexplained = await audit.verify(connected, sealer(), anchors)

        assert [(one.month, one.rows) for one in gone] == [("2026-09", 4), ("2026-10", 4)]
        assert again == []
        assert await values(connected, WHERE) == ["audit_entries_y2026m11"]
        assert found.broken == ()
        assert dict(found.heads) == anchors  # the same ends as before
        assert {one.fault for one in unexplained.broken} == {Fault.CUT}  # the notes are what holds

        with pytest.raises(DBAPIError, match="never changed or deleted"):
            await run(connected, "DELETE FROM audit_archives")
        await run(
            connected,
            "ALTER TABLE audit_archives DISABLE TRIGGER USER",
            "UPDATE audit_archives SET rows = rows - 1 WHERE stream = '2026-09.5'",
        )
        forged = await audit.verify(connected, sealer(), anchors, await notes(connected))
        assert [(one.stream, one.fault) for one in forged.broken] == [("2026-09.5", Fault.FORGED)]


async def test_a_partition_that_was_dropped_without_a_note_is_missed(postgres: Server) -> None:
    async with database(postgres.url) as connected:
        anchors = (await filled(connected)).heads
        await run(connected, "DROP TABLE audit_entries_y2026m09")
        found = await audit.verify(connected, sealer(), anchors, await notes(connected))
    assert {(one.stream, one.fault) for one in found.broken} == {
        ("2026-09.5", Fault.CUT), ("2026-09.6", Fault.CUT),
    }  # fmt: skip


async def test_a_broken_month_stays(postgres: Server, tmp_path: Path) -> None:
    async with database(postgres.url) as connected:
        await filled(connected)
        await run(
            connected,
            "ALTER TABLE audit_entries_y2026m10 DISABLE TRIGGER USER",
            "UPDATE audit_entries_y2026m10 SET actor = 'x' WHERE stream = '2026-10.5'"
            " AND sequence = 2",
            "ALTER TABLE audit_entries_y2026m10 ENABLE TRIGGER USER",
        )
        with pytest.raises(ArchiveError, match=r"2026-10 stays: stream 2026-10.5 row 2"):
            await archive(
                connected, sealer(), tmp_path, before=datetime(2027, 1, 1, tzinfo=UTC), anchors={}
            )
        assert await values(connected, WHERE) == [
            "audit_entries_y2026m10", "audit_entries_y2026m11",
        ]  # fmt: skip
    assert names_in(tmp_path) == ["audit-2026-09.jsonl.gz"]


async def test_rows_of_a_month_that_was_not_made_in_time_get_a_partition(
    postgres: Server,
) -> None:
    async with database(postgres.url) as connected:
        await migrate(connected)
        log = audit.PostgresAuditLog(connected, sealer())
        for number in range(3):
            await log.append(entry(number, SEPTEMBER))
        before = (await audit.verify(connected, sealer())).heads
        assert await values(connected, WHERE) == ["audit_entries_default"]

        assert await make_partitions(connected, SEPTEMBER) == 0

        assert await values(connected, WHERE) == ["audit_entries_y2026m09"]
        assert (await audit.verify(connected, sealer(), before)).broken == ()
        for number in range(3, 5):
            await log.append(entry(number, NOVEMBER + timedelta(days=300)))
        for statement in ("TRUNCATE audit_entries_default", "DELETE FROM audit_entries_default"):
            with pytest.raises(DBAPIError, match="never changed or deleted"):
                await run(connected, "SET LOCAL session_replication_role = replica", statement)


async def test_a_log_from_before_the_months_is_carried_over_and_back(postgres: Server) -> None:
    async with database(postgres.url) as connected:
        await migrate(connected, "0003")
        log = audit.PostgresAuditLog(connected, sealer())
        for at in (datetime(2025, 12, 31, tzinfo=UTC), SEPTEMBER):
            await log.append(entry(1, at))
        before = (await audit.verify(connected, sealer())).heads
        await migrate(connected)
        assert await values(connected, WHERE) == [
            "audit_entries_y2025m12", "audit_entries_y2026m09",
        ]  # fmt: skip
        assert (await audit.verify(connected, sealer(), before)).broken == ()


def test_the_commands(tmp_path: Path, postgres: Server) -> None:
    keys, folder, anchors = key_folder(tmp_path), tmp_path / "archives", tmp_path / "anchors.json"
    folder.mkdir()
    asyncio.run(fill_long_ago(postgres))
    at = ["--database-url", postgres.url, "--sealing-keys", str(keys)]

    def told(*words: str) -> Result:
        return CliRunner().invoke(callfleet, ["audit", *words])

    assert told("verify", *at, "--write-anchors", str(anchors)).exit_code == 0
    moved = told("archive", *at, "--to", str(folder), "--anchors", str(anchors))
    (file,) = folder.iterdir()
    whole = told("verify", *at, "--anchors", str(anchors), "--archives", str(folder))
    alone = told(
        "verify-archive", "--sealing-keys", str(keys), "--anchors", str(anchors), str(file)
    )
    assert moved.output.splitlines()[-1] == "1 months have left", moved.output
    assert (whole.exit_code, whole.output) == (0, "4 rows in 2 streams, 0 broken\n")
    assert (alone.exit_code, alone.output) == (0, "3 rows in 1 streams, 0 broken\n")

    again = [*at, "--anchors", str(anchors), "--write-anchors", str(anchors)]
    assert "no anchors yet" not in told("verify", *again).output

    kept = tmp_path / "kept"
    shutil.move(file, kept)
    missing = told("verify", *at, "--archives", str(folder))
    file.write_bytes(b"nothing")
    nonsense = told("verify-archive", "--sealing-keys", str(keys), str(file))
    assert missing.exit_code == 1
    assert "missing" in missing.output
    assert nonsense.exit_code == 2
    assert told("archive", *at, "--to", str(folder), "--keep-days", "3").exit_code == 2


def test_what_the_chart_runs_each_day_makes_its_anchors_and_moves_what_is_old(
    postgres: Server, tmp_path: Path
) -> None:
    values = ("--set", "proxy.address=192.0.2.10", "--set", "platform.audit.archive.enabled=true")
    (job,) = [item for item in rendered(*values)
              if item["metadata"]["name"] == "callfleet-audit-archive"
              and item["kind"] == "CronJob"]  # fmt: skip
    pod = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    keys, folder = key_folder(tmp_path), tmp_path / "archive"
    folder.mkdir()
    asyncio.run(fill_long_ago(postgres))
    environment = {"CALLFLEET_DATABASE_URL": postgres.url, "CALLFLEET_SEALING_KEYS": str(keys)}

    def day() -> list[Result]:
        done = []
        for container in [*pod["initContainers"], *pod["containers"]]:
            words = [word.replace("/archive", str(folder)) for word in container["args"]]
            done.append(CliRunner().invoke(callfleet, words, env=environment))
            if done[-1].exit_code:
                break  # the next container does not start
        return done

    verified, moved = day()
    assert verified.output.startswith("no anchors yet")
    assert moved.output.splitlines()[-1] == "1 months have left", moved.output
    assert {path.name for path in folder.iterdir() if not path.name.startswith("audit-")} == {
        "anchors.json"
    }
    verified, moved = day()
    assert verified.output == "1 rows in 2 streams, 0 broken\n"
    assert moved.output == "0 months have left\n"

    before = (folder / "anchors.json").read_bytes()
    asyncio.run(break_newest(postgres))
    (broken,) = day()
    assert broken.exit_code == 1
    assert (folder / "anchors.json").read_bytes() == before


def test_anchors_that_cannot_be_written_are_told(postgres: Server, tmp_path: Path) -> None:
    keys = key_folder(tmp_path)
    asyncio.run(fill_long_ago(postgres))
    away = str(tmp_path / "away" / "anchors.json")
    words = ["audit", "verify", "--database-url", postgres.url, "--sealing-keys", str(keys)]

    done = CliRunner().invoke(callfleet, [*words, "--write-anchors", away])

    assert done.exit_code == 2
    assert "cannot be written" in done.output


def key_folder(tmp_path: Path) -> Path:
    keys = tmp_path / "keys"
    keys.mkdir()
    (keys / "current").write_text("k1")
    (keys / "index").write_bytes(b64encode(INDEX_KEY))
    (keys / "k1").write_bytes(b64encode(KEYS["k1"]))
    return keys


async def fill_long_ago(postgres: Server) -> None:
    """Three rows of a month that ended more than two years ago, and one of now."""
    long_ago = datetime.now(UTC) - timedelta(days=800)
    async with database(postgres.url) as connected:
        await migrate(connected)
        await make_partitions(connected, long_ago)
        log = audit.PostgresAuditLog(connected, sealer())
        for number in range(3):
            await log.append(entry(number, long_ago))
        await log.append(entry(9, datetime.now(UTC)))


async def break_newest(postgres: Server) -> None:
    async with database(postgres.url) as connected:
        (partition,) = await values(connected, WHERE)
        await run(
            connected,
            f"ALTER TABLE {partition} DISABLE TRIGGER USER",
            f"UPDATE {partition} SET actor = 'x'",
            f"ALTER TABLE {partition} ENABLE TRIGGER USER",
        )
