"""The role that the services log in with: it reads and writes rows, and has no right to change the
schema. It is made, or brought up to date, by whoever owns the tables.
"""

from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote, urlsplit

from sqlalchemy import text

from callfleet_agent.storage.database import Database
from callfleet_agent.storage.errors import RoleError

# What each table lets the services do. Partitions are reached through their parents alone, and
# rows of the audit log are added and read.
RIGHTS: Final = {
    "call_sessions": "SELECT, INSERT, UPDATE",
    "conversation_contexts": "SELECT, INSERT, UPDATE, DELETE",
    "banking_transactions": "SELECT, INSERT, UPDATE",
    "applied_requests": "SELECT, INSERT",
    "audit_entries": "SELECT, INSERT",
}


@dataclass(frozen=True, slots=True)
class Role:
    """Who logs in, by a URL postgresql://USER:PASSWORD@HOST:PORT/NAME."""

    name: str
    password: str

    @classmethod
    def of(cls, url: str) -> "Role":
        """Raises RoleError when the URL names no user or no password."""
        parts = urlsplit(url)
        name, password = unquote(parts.username or ""), unquote(parts.password or "")
        if not name or not password:
            raise RoleError("the services' URL must be postgresql://USER:PASSWORD@HOST:PORT/NAME")
        return cls(name, password)


async def ensure_role(database: Database, role: Role) -> None:
    """Make the role or set its password, and let it do what the services do, and nothing else."""
    async with database.transaction() as connection:
        known = await connection.scalar(
            text("SELECT 1 FROM pg_roles WHERE rolname = :name"), {"name": role.name}
        )
        owns = await connection.scalar(text("SELECT current_user"))
        if owns == role.name:
            raise RoleError("the services' role must be another one than the tables' owner")
        verb = "ALTER" if known else "CREATE"
        # Utility statements take no parameters: the server quotes.
        form = f"{verb} ROLE %I LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE PASSWORD %L"
        quoted = text(
            "SELECT format(:form, CAST(:name AS text), CAST(:password AS text)),"
            " quote_ident(CAST(:name AS text))"
        )
        values = {"form": form, "name": role.name, "password": role.password}
        statement, name = (await connection.execute(quoted, values)).one()
        await connection.exec_driver_sql(str(statement))
        await connection.exec_driver_sql(f"REVOKE CREATE ON SCHEMA public FROM {name}")
        await connection.exec_driver_sql(f"GRANT USAGE ON SCHEMA public TO {name}")
        for table, rights in RIGHTS.items():
            await connection.exec_driver_sql(f"REVOKE ALL ON {table} FROM {name}")
            await connection.exec_driver_sql(f"GRANT {rights} ON {table} TO {name}")
