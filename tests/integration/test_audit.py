"""The audit log on a real PostgreSQL: written by the banking service, tampered with, verified."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import grpc
import pytest
from click.testing import CliRunner
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from callfleet.v1 import banking_pb2 as bank_pb
from callfleet_agent.app.cli.root import callfleet
from callfleet_agent.banking.audit import AuditEntry, Occasion, Phase
from callfleet_agent.banking.audit_chain import AuditRow, Fault, digest_of, seal_of
from callfleet_agent.banking.errors import AuditUnavailableError
from callfleet_agent.storage import audit
from callfleet_agent.storage.database import Database
from callfleet_agent.storage.schema import migrate
from identities import AGENT
from platform_rig import proof, rigged
from private import leaks
from stores import INDEX_KEY, Server, database, migrated, sealer

STREAM = "2026-11.5"
AT = datetime(2026, 11, 25, 12, 30, 0, 123456, tzinfo=UTC)


def entry(number: int, session: int = 5, **fields: Any) -> AuditEntry:
    given: dict[str, Any] = {
        "at": AT, "phase": Phase.ASKED, "operation": "CARD_BLOCK", "outcome": "",
        "request_id": UUID(int=number), "session_id": UUID(int=session),
        "occasion": Occasion("spiffe://callfleet.io/ns/bank/voiceagent/card-line", str(uuid4())),
        "customer_id": "200417",
    }  # fmt: skip
    return AuditEntry(**(given | fields))


async def run(connected: Database, sql: str, **values: Any) -> None:
    async with connected.transaction() as connection:
        await connection.execute(text(sql), values)


async def together(connected: Database, statements: list[str]) -> None:
    async with connected.transaction() as connection:
        for statement in statements:
            await connection.execute(text(statement))


async def tampered(connected: Database, *statements: str) -> None:
    """As the owner of the table does it: without the trigger."""
    off, on = (f"ALTER TABLE audit_entries {word} TRIGGER USER" for word in ("DISABLE", "ENABLE"))
    await together(connected, [off, *statements, on])


async def filled(connected: Database, rows: int = 6) -> audit.Audited:
    await migrate(connected)
    log = audit.PostgresAuditLog(connected, sealer())
    for number in range(1, rows + 1):
        await log.append(entry(number))
    await log.append(entry(1, session=2))
    return await audit.verify(connected, sealer())


async def test_rows_are_chained_and_the_chain_holds(postgres: Server) -> None:
    async with database(postgres.url) as connected:
        found = await filled(connected)
    assert (found.rows, found.broken) == (7, ())
    assert {name: head.sequence for name, head in found.heads.items()} == {
        STREAM: 6,
        "2026-11.2": 1,
    }


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_entries SET outcome = 'verified' WHERE sequence = 3",
        "DELETE FROM audit_entries WHERE sequence = 3",
        "TRUNCATE audit_entries",
        "SET LOCAL session_replication_role = replica; DELETE FROM audit_entries",
    ],
)
async def test_the_database_refuses_to_change_or_delete(postgres: Server, statement: str) -> None:
    async with database(postgres.url) as connected:
        await filled(connected)
        with pytest.raises(DBAPIError, match="never changed or deleted"):
            await together(connected, statement.split("; "))
        assert (await audit.verify(connected, sealer())).rows == 7


SWAP = (
    "UPDATE audit_entries SET sequence = 100 WHERE sequence = 3 AND stream = '2026-11.5'",
    "UPDATE audit_entries SET sequence = 3 WHERE sequence = 4 AND stream = '2026-11.5'",
    "UPDATE audit_entries SET sequence = 4 WHERE sequence = 100",
)
COLUMNS = (
    "at = at + interval '1 microsecond'", "phase = 'ENDED'", "operation = 'CARD_INQUIRY'",
    "outcome = 'done'", "request_id = NULL", "session_id = gen_random_uuid()",
    "actor = 'spiffe://callfleet.io/operator'", "correlation_id = ''", "customer = 'other'",
)  # fmt: skip
SHIFTED = (
    "UPDATE audit_entries SET sequence = sequence + 100"
    " WHERE sequence > 3 AND stream = '2026-11.5'",
    "INSERT INTO audit_entries SELECT stream, 4, at, phase, operation, outcome,"
    " gen_random_uuid(), session_id, actor, correlation_id, customer, digest, digest, seal"
    " FROM audit_entries WHERE sequence = 3 AND stream = '2026-11.5'",
    "UPDATE audit_entries SET sequence = sequence - 99 WHERE sequence > 100",
)


@pytest.mark.parametrize(
    ("statements", "row", "fault"),
    [
        *(
            ((f"UPDATE audit_entries SET {change} WHERE sequence = 3",), 3, Fault.CHANGED)
            for change in COLUMNS
        ),
        (("UPDATE audit_entries SET digest = seal WHERE sequence = 3",), 3, Fault.CHANGED),
        (("UPDATE audit_entries SET seal = digest WHERE sequence = 3",), 3, Fault.FORGED),
        (("DELETE FROM audit_entries WHERE sequence = 3",), 4, Fault.MISSING),
        (("DELETE FROM audit_entries WHERE sequence = 1 AND stream = '2026-11.5'",), 2,
         Fault.MISSING),
        (SWAP, 3, Fault.UNLINKED),
        (SHIFTED, 4, Fault.CHANGED),
    ],
    ids=[
        *(change.split(" ")[0] for change in COLUMNS), "digest", "seal", "deleted", "first-deleted",
        "reordered", "inserted",
    ],
)  # fmt: skip
async def test_the_verifier_names_the_first_broken_row(
    postgres: Server, statements: tuple[str, ...], row: int, fault: Fault
) -> None:
    async with database(postgres.url) as connected:
        await filled(connected)
        await tampered(connected, *statements)
        found = await audit.verify(connected, sealer())
    assert [(one.stream, one.sequence, one.fault) for one in found.broken] == [(STREAM, row, fault)]


async def test_a_row_that_is_well_chained_but_sealed_without_the_key_is_named(
    postgres: Server,
) -> None:
    async with database(postgres.url) as connected:
        head = (await filled(connected)).heads[STREAM]
        made = AuditRow(
            stream=STREAM, sequence=head.sequence + 1, at=AT, phase="ENDED",
            operation="AUTHENTICATION", outcome="verified", request_id=None, session_id=None,
            actor="", correlation_id="", customer="", previous=head.digest,
        )  # fmt: skip
        digest = digest_of(made)
        whole = replace(made, digest=digest, seal=seal_of(digest, INDEX_KEY))
        async with connected.transaction() as connection:
            columns = [column.name for column in audit.audit_entries.c]
            values = {name: getattr(whole, name) for name in columns}
            await connection.execute(audit.audit_entries.insert().values(values))
        found = await audit.verify(connected, sealer())
    assert [(one.sequence, one.fault) for one in found.broken] == [(7, Fault.FORGED)]


@pytest.mark.parametrize(
    ("deleted", "left"), [("sequence > 4", 4), ("stream = '2026-11.5'", 0)], ids=["end", "stream"]
)
async def test_anchors_show_what_was_cut_off(postgres: Server, deleted: str, left: int) -> None:
    async with database(postgres.url) as connected:
        anchors = (await filled(connected)).heads
        await audit.PostgresAuditLog(connected, sealer()).append(entry(9))
        assert (await audit.verify(connected, sealer(), anchors)).broken == ()

        await tampered(connected, f"DELETE FROM audit_entries WHERE {deleted}")

        assert (await audit.verify(connected, sealer())).broken == ()
        found = await audit.verify(connected, sealer(), anchors)
    assert [(one.stream, one.sequence, one.fault) for one in found.broken] == [
        (STREAM, left, Fault.CUT)
    ]


async def test_many_writers_make_one_chain(postgres: Server) -> None:
    async with database(postgres.url) as one, database(postgres.url) as other:
        await migrate(one)
        logs = [audit.PostgresAuditLog(connected, sealer()) for connected in (one, other)]
        await asyncio.gather(
            *(logs[number % 2].append(entry(number, session=number % 3)) for number in range(60))
        )
        found = await audit.verify(one, sealer())
    assert (found.rows, found.broken) == (60, ())
    assert sum(head.sequence for head in found.heads.values()) == 60


async def test_a_store_that_is_away_is_said_to_be() -> None:
    async with database("postgresql://nobody@127.0.0.1:1/none") as away:
        with pytest.raises(AuditUnavailableError):
            await audit.PostgresAuditLog(away, sealer()).append(entry(1))


async def test_the_banking_service_writes_down_what_it_does(
    tmp_path: Path, postgres: Server, redis_server: Server
) -> None:
    await asyncio.to_thread(migrated, postgres.url)
    async with rigged(tmp_path, postgres.url, redis_server.url) as rig:
        session = await rig.session()
        await rig.ask(rig.banking.AuthenticateCustomer, proof(session, "0000"))
        card = bank_pb.CardDeliveryRequest(session_id=session, customer_id="200417")
        await rig.refused(rig.banking.QueryCardDelivery, card)
        await rig.ask(rig.banking.AuthenticateCustomer, proof(session))
        await rig.ask(rig.banking.QueryCardDelivery, card)
        async with database(postgres.url) as connected, connected.transaction() as connection:
            columns = "operation, phase, outcome, actor, session_id, correlation_id, customer"
            statement = text(f"SELECT {columns} FROM audit_entries ORDER BY stream, sequence")
            rows = (await connection.execute(statement)).all()
            audited = await connection.execute(
                text("SELECT audit_entries::text FROM audit_entries")
            )
            whole = "\n".join(audited.scalars())

        assert [tuple(row[:3]) for row in rows] == [
            ("AUTHENTICATION", "ASKED", ""),
            ("AUTHENTICATION", "ENDED", "failed"),
            ("CARD_DELIVERY", "ASKED", ""),
            ("CARD_DELIVERY", "ENDED", "not_verified"),
            ("AUTHENTICATION", "ASKED", ""),
            ("AUTHENTICATION", "ENDED", "verified"),
            ("CARD_DELIVERY", "ASKED", ""),
            ("CARD_DELIVERY", "ENDED", "done"),
        ]
        assert {(row.actor, str(row.session_id)) for row in rows} == {(AGENT, session)}
        assert len({row.correlation_id for row in rows}) == 4
        secrets = ("200417", "4271", "0000", "c-1001")
        assert leaks(whole, {secret: secret for secret in secrets}) == []

        async with database(postgres.url) as connected:
            await run(connected, "ALTER TABLE audit_entries RENAME TO elsewhere")
        before = len(rig.bank.requests)
        refused = await rig.refused(rig.banking.AuthenticateCustomer, proof(session))
        assert len(rig.bank.requests) == before
        assert refused.code in {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.INTERNAL}


def test_the_command_tells_and_its_status_is_for_programs(tmp_path: Path, postgres: Server) -> None:
    async def fill() -> None:
        async with database(postgres.url) as connected:
            await filled(connected)

    async def cut() -> None:
        async with database(postgres.url) as connected:
            await tampered(connected, "DELETE FROM audit_entries WHERE sequence = 3")

    keys, anchors = tmp_path / "keys", tmp_path / "anchors.json"
    _write_keys(keys)
    asyncio.run(fill())
    verify = [
        "audit", "verify", "--database-url", postgres.url, "--sealing-keys", str(keys),
    ]  # fmt: skip

    whole = CliRunner().invoke(callfleet, [*verify, "--write-anchors", str(anchors)])
    asyncio.run(cut())
    broken = CliRunner().invoke(callfleet, [*verify, "--anchors", str(anchors)])
    wrong = CliRunner().invoke(callfleet, [*verify, "--anchors", str(tmp_path / "none")])

    assert (whole.exit_code, whole.output) == (0, "7 rows in 2 streams, 0 broken\n")
    assert broken.exit_code == 1
    assert "stream 2026-11.5 row 4: missing: " in broken.output
    assert wrong.exit_code == 2


def _write_keys(folder: Path) -> None:
    from base64 import b64encode

    from stores import KEYS

    folder.mkdir()
    (folder / "current").write_text("k1")
    (folder / "index").write_bytes(b64encode(INDEX_KEY))
    (folder / "k1").write_bytes(b64encode(KEYS["k1"]))
