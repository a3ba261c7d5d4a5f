"""The schema on a real PostgreSQL: up, down, as SQLAlchemy sees it, and by months."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, text
from sqlalchemy.exc import IntegrityError

from callfleet_agent.session.identifiers import uuid7
from callfleet_agent.storage.audit import audit_entries
from callfleet_agent.storage.database import Database
from callfleet_agent.storage.schema import migrate
from callfleet_agent.storage.tables import metadata
from callfleet_agent.storage.upkeep import (
    Retention,
    apply_retention,
    make_partitions,
)
from stores import Server, database

NOVEMBER = datetime(2026, 11, 15, 12, tzinfo=UTC)


async def scalars(connected: Database, sql: str) -> list[Any]:
    async with connected.transaction() as connection:
        return list((await connection.execute(text(sql))).scalars())


async def run(connected: Database, sql: str) -> None:
    async with connected.transaction() as connection:
        await connection.execute(text(sql))


async def relations(connected: Database) -> set[object]:
    sql = "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace"
    return set(await scalars(connected, sql))


def call(at: datetime, session_id: UUID | None = None) -> str:
    identity = session_id or uuid7(int(at.timestamp() * 1000), uuid4().int)
    return (
        "INSERT INTO call_sessions (session_id, caller_phone, sip_call_id, status, call_start_time)"
        f" VALUES ('{identity}', '', 'x', 'ACTIVE', '{at.isoformat()}')"
    )


async def test_down_takes_away_all_that_up_made_and_up_again_makes_it(postgres: Server) -> None:
    async with database(postgres.url) as connected:
        await migrate(connected)
        made = await relations(connected)
        await migrate(connected)  # nothing to do

        await migrate(connected, "base")
        left = await relations(connected)
        await migrate(connected)

        assert left == {"callfleet_platform_version", "callfleet_platform_version_pkc"}
        assert await relations(connected) == made
        assert not await scalars(connected, "SELECT 1 FROM callfleet_platform_version OFFSET 1")


async def test_the_tables_are_what_sqlalchemy_sees(postgres: Server) -> None:
    def is_copy_for_a_partition(difference: Any) -> bool:
        """PostgreSQL keeps a foreign key for each partition that is referred to."""
        match difference:
            case ("remove_fk", constraint):
                return "_default." in constraint.elements[0].target_fullname
        return False

    def differences(connection: Connection) -> list[object]:
        def of_the_model(name: str | None, kind: str, *_: object) -> bool:
            return kind != "table" or name in metadata.tables

        options = {"compare_type": True, "include_name": of_the_model}
        context = MigrationContext.configure(connection, opts=options)
        return [
            difference
            for difference in compare_metadata(context, metadata)
            if not is_copy_for_a_partition(difference)
        ]

    async with database(postgres.url) as connected:
        await migrate(connected)
        async with connected.transaction() as connection:
            assert await connection.run_sync(differences) == []
    assert audit_entries.name in metadata.tables


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO call_sessions (caller_phone, sip_call_id, status) VALUES ('', 'x', 'BUSY')",
        "INSERT INTO call_sessions (caller_phone, status) VALUES ('', 'ACTIVE')",
        "INSERT INTO conversation_contexts (session_id, expires_at)"
        " VALUES (gen_random_uuid(), now())",
        "INSERT INTO banking_transactions (session_id, transaction_type, authentication_status)"
        " SELECT session_id, 'CARD_INQUIRY', 'MAYBE' FROM call_sessions",
    ],
)
async def test_the_database_refuses_what_breaks_a_rule(postgres: Server, statement: str) -> None:
    async with database(postgres.url) as connected:
        await migrate(connected)
        await run(connected, call(NOVEMBER))

        with pytest.raises(IntegrityError):
            await run(connected, statement)


async def test_a_change_of_a_call_renews_its_time(postgres: Server) -> None:
    async with database(postgres.url) as connected:
        await migrate(connected)
        await run(connected, call(NOVEMBER))
        before = await scalars(connected, "SELECT updated_at FROM call_sessions")

        await run(connected, "UPDATE call_sessions SET status = 'COMPLETED'")

        assert await scalars(connected, "SELECT updated_at FROM call_sessions") > before


async def test_a_call_goes_to_its_month_and_another_id_to_the_rest(postgres: Server) -> None:
    async with database(postgres.url) as connected:
        await migrate(connected)
        assert await make_partitions(connected, NOVEMBER) == 0
        assert await make_partitions(connected, NOVEMBER) == 0  # again changes nothing

        await run(connected, call(NOVEMBER))
        await run(connected, call(NOVEMBER + timedelta(days=40)))
        await run(connected, call(NOVEMBER, uuid4()))

        where = "SELECT tableoid::regclass::text FROM call_sessions ORDER BY 1"
        assert await scalars(connected, where) == [
            "call_sessions_default",
            "call_sessions_y2026m11",
            "call_sessions_y2026m12",
        ]


async def test_a_month_whose_calls_are_in_the_rest_is_told_and_nothing_is_lost(
    postgres: Server,
) -> None:
    async with database(postgres.url) as connected:
        await migrate(connected)
        await run(connected, call(NOVEMBER))

        assert await make_partitions(connected, NOVEMBER) == 1
        assert await scalars(connected, "SELECT count(*) FROM call_sessions") == [1]


async def test_the_digest_of_a_proof_is_forgotten_after_an_hour(postgres: Server) -> None:
    insert = (
        "INSERT INTO banking_transactions (session_id, transaction_type, authentication_status,"
        " created_at, request_digest)"
        " SELECT session_id, 'AUTHENTICATION', 'VERIFIED', '{}', 'x' FROM call_sessions"
    )
    async with database(postgres.url) as connected:
        await migrate(connected)
        await run(connected, call(NOVEMBER))
        for minutes in (61, 59):
            await run(connected, insert.format(NOVEMBER - timedelta(minutes=minutes)))

        await apply_retention(connected, Retention(), NOVEMBER)

        sql = "SELECT request_digest IS NULL FROM banking_transactions ORDER BY created_at"
        assert await scalars(connected, sql) == [True, False]


async def test_sessions_from_before_there_were_owners_belong_to_their_agent(
    postgres: Server,
) -> None:
    async with database(postgres.url) as connected:
        await migrate(connected, "0002")
        for agent in ("bank/card-line", "nonsense", ""):
            made = call(NOVEMBER).replace("(session_id,", "(voice_agent, session_id,")
            await run(connected, made.replace("VALUES (", f"VALUES ('{agent}', "))
        await migrate(connected)
        assert await scalars(connected, "SELECT owner FROM call_sessions ORDER BY 1") == [
            "", "", "spiffe://callfleet.io/ns/bank/voiceagent/card-line",
        ]  # fmt: skip


async def test_a_context_is_deleted_a_day_after_its_time_and_its_call_is_kept(
    postgres: Server,
) -> None:
    insert = (
        "INSERT INTO conversation_contexts (session_id, expires_at)"
        " SELECT session_id, '{}' FROM call_sessions WHERE session_id = '{}'"
    )
    async with database(postgres.url) as connected:
        await migrate(connected)
        sessions = {hours: uuid4() for hours in (25, 23, -1)}
        for hours, session_id in sessions.items():
            await run(connected, call(NOVEMBER, session_id))
            await run(connected, insert.format(NOVEMBER - timedelta(hours=hours), session_id))

        deleted = await apply_retention(connected, Retention(), NOVEMBER)
        again = await apply_retention(connected, Retention(), NOVEMBER)

        assert (deleted.months, deleted.calls, deleted.contexts) == (0, 0, 1)
        assert (again.months, again.calls, again.contexts) == (0, 0, 0)
        left = await scalars(connected, "SELECT session_id FROM conversation_contexts")
        assert set(left) == {sessions[23], sessions[-1]}
        kept = await scalars(connected, "SELECT session_id FROM call_sessions")
        assert set(kept) == set(sessions.values())


async def test_retention_drops_old_months_and_deletes_old_rows_and_nothing_else(
    postgres: Server,
) -> None:
    kept = Retention(calls=timedelta(days=30))
    later = NOVEMBER + timedelta(days=75)  # the end of January
    young_in_old_month = uuid7(int((NOVEMBER + timedelta(days=20)).timestamp() * 1000), 1)
    async with database(postgres.url) as connected:
        await migrate(connected)
        await make_partitions(connected, NOVEMBER)
        for statement in (
            call(NOVEMBER),
            call(NOVEMBER, uuid4()),
            call(NOVEMBER + timedelta(days=21)),
            call(later, young_in_old_month),
            call(later),
        ):
            await run(connected, statement)
        await run(
            connected,
            "INSERT INTO conversation_contexts (session_id, expires_at)"
            " SELECT session_id, call_start_time FROM call_sessions",
        )

        deleted = await apply_retention(connected, kept, later)
        again = await apply_retention(connected, kept, later)

        assert (deleted.months, deleted.calls) == (1, 2)
        assert (again.months, again.calls, again.contexts) == (0, 0, 0)
        left = await scalars(connected, "SELECT call_start_time FROM call_sessions")
        assert left == [later, later]
        assert await scalars(connected, "SELECT count(*) FROM conversation_contexts") == [2]
        names = await relations(connected)
        assert "call_sessions_y2026m11" not in names
        assert {"call_sessions_y2026m12", "call_sessions_default"} <= names
