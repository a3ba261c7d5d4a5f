"""The database of a proxy: migrations, two roles, and what the driver makes of a bad database."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import asyncpg
import pytest

from callfleet_operator.model.settings import ProxySettings
from callfleet_operator.ports.proxy import (
    AgentRows,
    Proxy,
    ProxyDatabaseUnavailable,
    ProxyMisconfigured,
    WantedRow,
)
from callfleet_operator.proxies import migrate, open_proxy
from callfleet_operator.proxies.migrations import TABLE_VERSIONS, Driver
from proxy_rigs import TIMING, PostgresServer, agent, number

DRIVERS: tuple[Driver, ...] = ("kamailio", "opensips")
ROW = WantedRow("sip:10.0.0.1:5060", "p1")


class Database(Protocol):
    """What is used of the fixture `postgres`."""

    server: PostgresServer
    name: str

    @property
    def url(self) -> str: ...


@pytest.fixture
async def sql(postgres: Database) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(postgres.url)
    yield connection
    await connection.close()


def driver(tmp_path: Path, url: str, name: str = "kamailio", **timing: Any) -> Proxy:
    """A driver whose only instance is away: the database is what is looked at here."""
    (tmp_path / "url").write_text(url)
    settings = {
        "name": "default",
        "driver": name,
        "endpoints": ["http://127.0.0.1:9/RPC"],
        "databaseUrlFile": str(tmp_path / "url"),
        "sipAddress": "127.0.0.1:5060",
    }
    proxy = ProxySettings.model_validate(settings)
    return open_proxy(proxy, installation="test", timing=replace(TIMING, **timing))


@pytest.mark.parametrize("name", DRIVERS)
async def test_a_migration_makes_all_and_then_nothing(
    postgres: Database, sql: asyncpg.Connection, name: Driver
) -> None:
    assert await migrate(postgres.url, name) == [1]
    assert await migrate(postgres.url, name) == []

    rows = await sql.fetch("SELECT table_name, table_version FROM public.version")
    assert not await sql.fetchval("SELECT to_regclass('callfleet.version')")
    assert {row["table_name"]: row["table_version"] for row in rows} == TABLE_VERSIONS[name]


async def test_two_migrations_at_once_do_not_meet(postgres: Database) -> None:
    done = await asyncio.gather(*(migrate(postgres.url, "kamailio") for _ in range(4)))

    assert sorted(done) == [[], [], [], [1]]


async def test_a_foreign_owners_tables_stay_as_they_are(
    postgres: Database, sql: asyncpg.Connection, tmp_path: Path
) -> None:
    await sql.execute(
        "CREATE TABLE version (table_name VARCHAR(32) NOT NULL, table_version INTEGER NOT NULL);"
        "INSERT INTO version VALUES ('dispatcher', 4), ('dialplan', 2), ('usrloc', 9);"
        "CREATE TABLE dispatcher (id SERIAL PRIMARY KEY, setid INTEGER DEFAULT 0 NOT NULL,"
        " destination VARCHAR(192) DEFAULT '' NOT NULL, flags INTEGER DEFAULT 0 NOT NULL,"
        " priority INTEGER DEFAULT 0 NOT NULL, attrs VARCHAR(128) DEFAULT '' NOT NULL,"
        " description VARCHAR(64) DEFAULT '' NOT NULL, extra TEXT);"
        "INSERT INTO dispatcher (setid, destination, extra) "
        "VALUES (1, 'sip:a', 'x'), (1, 'sip:a', 'y')"
    )

    await migrate(postgres.url, "kamailio")

    assert await sql.fetchval("SELECT count(*) FROM dispatcher WHERE extra IN ('x', 'y')") == 2
    assert await sql.fetchval("SELECT count(*) FROM version") == 3
    proxy = driver(tmp_path, postgres.url)
    outcome = await proxy.sync([agent_with_row()], epoch=1)
    assert outcome.agents["uid-card"].set_id == 1000
    await proxy.close()


async def test_tables_of_another_version_are_refused(
    postgres: Database, sql: asyncpg.Connection, tmp_path: Path
) -> None:
    await migrate(postgres.url, "kamailio")
    with pytest.raises(ProxyMisconfigured, match="opensips needs 9"):
        await migrate(postgres.url, "opensips")

    proxy = driver(tmp_path, postgres.url, "opensips")
    with pytest.raises(ProxyMisconfigured, match="dispatcher"):
        await proxy.observe()
    await proxy.close()


async def test_a_newer_schema_is_refused(
    postgres: Database, sql: asyncpg.Connection, tmp_path: Path
) -> None:
    await migrate(postgres.url, "kamailio")
    await sql.execute("INSERT INTO callfleet.migrations (step) VALUES (99)")

    with pytest.raises(ProxyMisconfigured, match="99"):
        await migrate(postgres.url, "kamailio")
    proxy = driver(tmp_path, postgres.url)
    with pytest.raises(ProxyMisconfigured, match="99"):
        await proxy.observe()
    await proxy.close()


async def test_a_database_that_was_never_migrated_is_told_so(
    postgres: Database, tmp_path: Path
) -> None:
    proxy = driver(tmp_path, postgres.url)
    with pytest.raises(ProxyMisconfigured, match="UndefinedTable"):
        await proxy.sync([], epoch=1)
    await migrate(postgres.url, "kamailio")
    await proxy.sync([], epoch=1)
    await proxy.close()


@pytest.mark.parametrize("name", DRIVERS)
async def test_the_operators_role_needs_no_right_to_make_tables(
    postgres: Database, sql: asyncpg.Connection, tmp_path: Path, name: Driver
) -> None:
    role, reader = f"operator_{postgres.name}", f"proxy_{postgres.name}"
    await sql.execute(f"CREATE ROLE {role} LOGIN; CREATE ROLE {reader} LOGIN")
    try:
        await migrate(postgres.url, name, role=role, proxy_role=reader)
        as_role = postgres.url.replace(
            postgres.server.url("").rpartition("@")[0], f"postgresql://{role}"
        )
        proxy = driver(tmp_path, as_role, name)
        line = number()
        await proxy.sync([agent_with_row(line)], epoch=1)
        await proxy.sync([agent_with_row(line, pod="p2")], epoch=1)
        await proxy.sync([], epoch=2)
        await proxy.observe()
        await proxy.close()

        operator = await asyncpg.connect(as_role)
        for refused in (
            "CREATE TABLE callfleet.more (a int)",
            "ALTER TABLE dispatcher ADD COLUMN a int",
            "DROP TABLE callfleet.agents",
            "INSERT INTO callfleet.migrations (step) VALUES (99)",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await operator.execute(refused)
        await operator.close()
    finally:
        await sql.execute(f"DROP OWNED BY {role}, {reader}; DROP ROLE {role}, {reader}")


async def test_a_role_without_rights_is_told_so(
    postgres: Database, sql: asyncpg.Connection, tmp_path: Path
) -> None:
    await migrate(postgres.url, "kamailio")
    role = f"nobody_{postgres.name}"
    await sql.execute(f"CREATE ROLE {role} LOGIN")
    try:
        url = postgres.url.replace(
            postgres.server.url("").rpartition("@")[0], f"postgresql://{role}"
        )
        proxy = driver(tmp_path, url)
        with pytest.raises(ProxyMisconfigured, match="InsufficientPrivilege"):
            await proxy.sync([], epoch=1)
        await proxy.close()
    finally:
        await sql.execute(f"DROP ROLE {role}")


async def test_a_lock_that_somebody_keeps_is_not_waited_for_for_ever(
    postgres: Database, sql: asyncpg.Connection, tmp_path: Path
) -> None:
    await migrate(postgres.url, "kamailio")
    proxy = driver(tmp_path, postgres.url, database_limit_s=3.0)
    async with sql.transaction():
        await sql.execute("LOCK TABLE dispatcher IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(ProxyDatabaseUnavailable):
            await proxy.sync([agent_with_row()], epoch=1)

    await proxy.sync([agent_with_row()], epoch=1)
    await proxy.close()


async def test_a_connection_that_the_server_ended_is_made_anew(
    postgres: Database, sql: asyncpg.Connection, tmp_path: Path
) -> None:
    await migrate(postgres.url, "kamailio")
    proxy = driver(tmp_path, postgres.url)
    await proxy.sync([], epoch=1)
    ended = await sql.fetch(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE application_name = 'callfleet-operator' AND datname = current_database()"
    )
    assert len(ended) == 1  # one connection for a proxy, never more

    for _ in range(2):
        try:
            await proxy.sync([], epoch=1)
            break
        except ProxyDatabaseUnavailable:
            continue
    else:
        pytest.fail("no new connection")
    await proxy.close()


async def test_rows_that_somebody_deleted_or_changed_are_mended(
    postgres: Database, sql: asyncpg.Connection, tmp_path: Path
) -> None:
    await migrate(postgres.url, "kamailio")
    proxy = driver(tmp_path, postgres.url)
    line = number()
    await proxy.sync([agent_with_row(line)], epoch=1)
    for damage in (
        "DELETE FROM dispatcher",
        "DELETE FROM dialplan WHERE dpid = 5060",
        "DELETE FROM dialplan",
        "UPDATE dispatcher SET flags = 0, attrs = ''",
        "UPDATE dispatcher SET destination = 'sip:10.9.9.9:5060'",
        "UPDATE dialplan SET attrs = 'set=1' WHERE dpid = 5060",
    ):
        await sql.execute(damage)
        await proxy.sync([agent_with_row(line)], epoch=1)
        row = await sql.fetchrow("SELECT destination, flags, attrs FROM dispatcher")
        assert tuple(row) == (ROW.uri, 9, "rweight=1;pod=p1"), damage
        attrs = await sql.fetchval("SELECT attrs FROM dialplan WHERE dpid = 5060")
        assert attrs == "set=1000;alg=rr;media=direct", damage
        assert (await sql.fetchval("SELECT count(*) FROM dispatcher")) == 1
    await proxy.close()


async def test_a_set_id_is_given_again_after_its_rest(
    postgres: Database, sql: asyncpg.Connection, tmp_path: Path
) -> None:
    await migrate(postgres.url, "kamailio")
    proxy = driver(tmp_path, postgres.url, quarantine_s=3600.0)
    first = await proxy.sync([agent("one")], epoch=1)
    await proxy.sync([], epoch=1)
    await sql.execute("UPDATE callfleet.freed_sets SET freed_at = now() - interval '2 hours'")

    again = await proxy.sync([agent("two")], epoch=1)

    assert again.agents["uid-two"].set_id == first.agents["uid-one"].set_id
    await proxy.close()


async def test_two_installations_share_a_database_without_meeting(
    postgres: Database, tmp_path: Path
) -> None:
    await migrate(postgres.url, "kamailio")
    ours = driver(tmp_path, postgres.url)
    settings = ProxySettings.model_validate(
        {
            "name": "default",
            "driver": "kamailio",
            "endpoints": ["http://127.0.0.1:9/RPC"],
            "databaseUrlFile": str(tmp_path / "url"),
            "sipAddress": "127.0.0.1:5060",
        }
    )
    theirs = open_proxy(settings, installation="other", timing=TIMING)
    line = number()

    mine, other = await asyncio.gather(
        ours.sync([agent("one", numbers=[line])], epoch=1),
        theirs.sync([agent("one", numbers=[line])], epoch=9),
    )

    found = [mine.agents["uid-one"], other.agents["uid-one"]]
    assert {outcome.set_id for outcome in found} == {1000, 1001}
    assert sorted(len(outcome.accepted) for outcome in found) == [0, 1]
    await ours.sync([], epoch=2)
    await ours.close()
    await theirs.close()


def agent_with_row(*numbers: str, pod: str = "p1") -> AgentRows:
    row = WantedRow(ROW.uri, pod)
    return AgentRows("uid-card", "bank", "card", numbers, (row,))
