"""The database of a proxy, made and kept by a role that may create tables.

`migrate` makes what is absent: the proxy's own tables (which it never alters afterwards, whoever
made them) and the schema `callfleet`, whose steps are the numbered files beside this one. Each step
runs once, in order, in one transaction with the rest.
"""

from collections.abc import Mapping
from importlib.resources import files
from typing import Literal

import asyncpg

from callfleet_operator.ports.proxy import ProxyMisconfigured

Driver = Literal["kamailio", "opensips"]
TABLE_VERSIONS: Mapping[str, Mapping[str, int]] = {
    "kamailio": {"dispatcher": 4, "dialplan": 2},
    "opensips": {"dispatcher": 9, "dialplan": 5},
}
SEARCH_PATH = "public"  # not "$user": a role named callfleet would meet the schema callfleet first
_LOCK = 0x63616C6C  # advisory lock of everything that Callfleet writes into a proxy's database


def steps() -> list[tuple[int, str]]:
    """(number, SQL) of each step of the schema `callfleet`, in order."""
    found = [path for path in files(__name__).iterdir() if path.name[:4].isdecimal()]
    return sorted((int(path.name[:4]), path.read_text(encoding="utf-8")) for path in found)


def grants(role: str, proxy_role: str | None = None) -> list[str]:
    """The rights that the operator's role needs while it runs, and those of the proxy's own."""
    name = _identifier(role)
    statements = [
        f"GRANT USAGE ON SCHEMA public, callfleet TO {name}",
        f"GRANT SELECT, INSERT, UPDATE, DELETE ON dispatcher, dialplan TO {name}",
        f"GRANT USAGE ON SEQUENCE dispatcher_id_seq, dialplan_id_seq TO {name}",
        f"GRANT SELECT ON version, callfleet.migrations TO {name}",
        f"GRANT SELECT, INSERT, UPDATE, DELETE ON callfleet.installations, callfleet.agents, "
        f"callfleet.freed_sets, callfleet.numbers, callfleet.destinations, callfleet.revision "
        f"TO {name}",
    ]
    if proxy_role is not None:
        proxy = _identifier(proxy_role)
        statements += [
            f"GRANT SELECT ON version, dispatcher, dialplan TO {proxy}",
            f"GRANT UPDATE ON dispatcher TO {proxy}",  # OpenSIPS keeps its states there
        ]
    return statements


async def migrate(
    database_url: str,
    driver: Driver,
    *,
    role: str | None = None,
    proxy_role: str | None = None,
    limit_s: float = 30.0,
) -> list[int]:
    """Bring a proxy's database up to date; the numbers of the steps that were run.

    `role` and `proxy_role` are granted what they need. Safe to run again and by several at once.
    Raises ProxyMisconfigured when the proxy's tables are of another version or the schema is newer
    than this release, asyncpg's errors and OSError when the database cannot be used.
    """
    connection = await asyncpg.connect(
        database_url,
        timeout=limit_s,
        command_timeout=limit_s,
        statement_cache_size=0,
        server_settings={"search_path": SEARCH_PATH},
    )
    try:
        async with connection.transaction():
            await connection.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)
            await _proxy_tables(connection, driver)
            done = await _schema(connection)
            if role is not None:
                for statement in grants(role, proxy_role):
                    await connection.execute(statement)
            return done
    finally:
        await connection.close(timeout=limit_s)


async def _proxy_tables(connection: asyncpg.Connection, driver: Driver) -> None:
    sql = (files(__name__) / f"{driver}.sql").read_text(encoding="utf-8")
    await connection.execute("SET LOCAL client_min_messages = warning")
    await connection.execute(sql)
    for table, version in TABLE_VERSIONS[driver].items():
        await connection.execute(
            "INSERT INTO version (table_name, table_version) SELECT $1::text, $2::int "
            "WHERE NOT EXISTS (SELECT FROM version WHERE table_name = $1::text)",
            table,
            version,
        )
    await check_table_versions(connection, driver)


async def check_table_versions(connection: asyncpg.Connection, driver: str) -> None:
    """Raises ProxyMisconfigured when the proxy's tables are not of the driver's versions."""
    rows = await connection.fetch("SELECT table_name, table_version FROM version")
    have = {row["table_name"]: row["table_version"] for row in rows}
    for table, version in TABLE_VERSIONS[driver].items():
        if have.get(table) != version:
            raise ProxyMisconfigured(
                f"table {table} is of version {have.get(table)}, {driver} needs {version}"
            )


async def _schema(connection: asyncpg.Connection) -> list[int]:
    await connection.execute(
        "CREATE SCHEMA IF NOT EXISTS callfleet;"
        "CREATE TABLE IF NOT EXISTS callfleet.migrations ("
        "step INTEGER PRIMARY KEY, applied_at TIMESTAMPTZ NOT NULL DEFAULT now())"
    )
    applied = await connection.fetchval("SELECT coalesce(max(step), 0) FROM callfleet.migrations")
    known = steps()
    if applied > known[-1][0]:
        raise ProxyMisconfigured(
            f"schema callfleet is at step {applied}, this release knows {known[-1][0]}"
        )
    done = [(number, sql) for number, sql in known if number > applied]
    for number, sql in done:
        await connection.execute(sql)
        await connection.execute("INSERT INTO callfleet.migrations (step) VALUES ($1)", number)
    return [number for number, _ in done]


async def check_schema(connection: asyncpg.Connection) -> None:
    """Raises ProxyMisconfigured when the schema `callfleet` is not what this release needs."""
    applied = await connection.fetchval("SELECT coalesce(max(step), 0) FROM callfleet.migrations")
    wanted = steps()[-1][0]
    if applied != wanted:
        raise ProxyMisconfigured(f"schema callfleet is at step {applied}, {wanted} is needed")


def _identifier(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
