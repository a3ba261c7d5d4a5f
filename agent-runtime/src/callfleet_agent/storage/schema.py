"""Bringing the schema up and down."""

from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, text

from callfleet_agent.storage.database import Database

_FOLDER: Final = Path(__file__).with_name("migrations")
_LOCK: Final = 0x63616C6C  # one migrator at a time, whoever else locks in this database


async def migrate(database: Database, revision: str = "head") -> None:
    """Bring the schema to a revision, "base" for nothing; in one transaction."""
    async with database.transaction() as connection:
        await connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
        await connection.run_sync(_migrate, revision)


def _migrate(connection: Connection, revision: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(_FOLDER))
    config.attributes["connection"] = connection
    if revision == "base":
        command.downgrade(config, revision)
    else:
        command.upgrade(config, revision)
