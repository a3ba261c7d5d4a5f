"""`callfleet storage`: the schema of the platform's store, its upkeep and its keys."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from callfleet_agent.app.cli.exits import explained

if TYPE_CHECKING:
    from callfleet_agent.storage.database import Database

_database = click.option(
    "--database-url",
    envvar="CALLFLEET_DATABASE_URL",
    required=True,
    help="postgresql://…, of a role that owns the tables.",
)
_keys = click.option(
    "--sealing-keys",
    type=click.Path(file_okay=False, path_type=Path),
    envvar="CALLFLEET_SEALING_KEYS",
    required=True,
    help="Folder with the keys of what belongs to customers.",
)


@click.group()
def storage() -> None:
    """The store of calls, contexts and banking transactions: schema, upkeep and keys."""


def _with_database(url: str, work: "Callable[[Database], Awaitable[str]]") -> None:
    from callfleet_agent.storage.database import Database, DatabaseSettings

    async def run() -> str:
        async with Database(DatabaseSettings(url=url, pool=2, statement_s=600.0)) as database:
            return await work(database)

    with explained():
        click.echo(asyncio.run(run()))


@storage.command()
@_database
@click.option(
    "--to", "revision", default="head", show_default=True, help='"base": nothing is left.'
)
def migrate(database_url: str, revision: str) -> None:
    """Bring the schema to its newest state, and make this month's partitions and the next ones."""
    from callfleet_agent.app.platform import utc_now
    from callfleet_agent.storage.schema import migrate as bring
    from callfleet_agent.storage.upkeep import make_partitions

    async def work(database: "Database") -> str:
        await bring(database, revision)
        if revision != "base":
            await make_partitions(database, utc_now())
        return f"the schema is at {revision}"

    _with_database(database_url, work)


@storage.command()
@_database
@click.option("--keep-days", default=395, show_default=True, help="Calls are kept so long.")
def upkeep(database_url: str, keep_days: int) -> None:
    """Make partitions ahead and delete what the policy no longer keeps. Meant for each night."""
    from callfleet_agent.app.platform import utc_now
    from callfleet_agent.storage.upkeep import Retention, apply_retention, make_partitions

    async def work(database: "Database") -> str:
        now = utc_now()
        await make_partitions(database, now)
        kept = Retention(calls=timedelta(days=keep_days))
        gone = await apply_retention(database, kept, now)
        return f"deleted: {gone.months} months, {gone.calls} calls, {gone.contexts} contexts"

    _with_database(database_url, work)


@storage.command()
@_database
@_keys
def reseal(database_url: str, sealing_keys: Path) -> None:
    """Seal with the current key what was sealed with another, so that the other can go."""
    from callfleet_agent.storage.sealing import read_keys
    from callfleet_agent.storage.upkeep import reseal as seal_again

    async def work(database: "Database") -> str:
        return f"sealed again: {await seal_again(database, read_keys(sealing_keys))} rows"

    _with_database(database_url, work)


@storage.command("new-key")
@click.argument("name")
@_keys
def new_key(name: str, sealing_keys: Path) -> None:
    """Write a new sealing key NAME into the folder and make it the current one."""
    from callfleet_agent.storage.sealing import make_keys

    with explained():
        make_keys(sealing_keys, name)
    click.echo(f"{name} is the current key")
