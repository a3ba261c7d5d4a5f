"""`callfleet storage`: the schema of the platform's store, its upkeep and its keys."""

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from callfleet_agent.app.cli.exits import explained

if TYPE_CHECKING:
    from callfleet_agent.storage.database import Database

_RETRY_S = 0.5
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
@click.option(
    "--services-url",
    envvar="CALLFLEET_SERVICES_DATABASE_URL",
    default="",
    help="postgresql://USER:PASSWORD@… of the services' role: it is made or updated, may read and"
    " write rows, and cannot change the schema.",
)
@click.option(
    "--wait-seconds",
    default=0.0,
    show_default=True,
    help="How long to wait for a database that is starting.",
)
@click.option(
    "--stay",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Make this file when done, and stay until SIGTERM: beside a database, as its readiness.",
)
def migrate(
    database_url: str, revision: str, services_url: str, wait_seconds: float, stay: Path | None
) -> None:
    """Bring the schema to its newest state, and make this month's partitions and the next ones."""
    from callfleet_agent.app.platform import utc_now
    from callfleet_agent.storage.roles import Role, ensure_role
    from callfleet_agent.storage.schema import migrate as bring
    from callfleet_agent.storage.upkeep import make_partitions

    async def work(database: "Database") -> str:
        await _until_there(database, wait_seconds)
        await bring(database, revision)
        if revision != "base":
            await make_partitions(database, utc_now())
            if services_url:
                await ensure_role(database, Role.of(services_url))
        return f"the schema is at {revision}"

    _with_database(database_url, work)
    if stay is not None:
        _stay(stay)


async def _until_there(database: "Database", limit_s: float) -> None:
    """Wait for a database that does not answer yet; raises what it last said."""
    from callfleet_agent.storage.errors import StoreUnavailableError

    loop = asyncio.get_running_loop()
    deadline = loop.time() + limit_s
    while True:
        try:
            await database.ping()
        except StoreUnavailableError:
            if loop.time() >= deadline:
                raise
            await asyncio.sleep(_RETRY_S)
        else:
            return


def _stay(done: Path) -> None:
    """As a process that costs next to nothing: what migrates is 100 MB of memory. Whoever sees that
    it is done may end it at once."""
    sys.stdout.flush()
    wait = "import signal; signal.sigwait([signal.SIGTERM, signal.SIGINT])"
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM, signal.SIGINT])
    done.touch()
    os.execv(sys.executable, [sys.executable, "-I", "-S", "-c", wait])  # noqa: S606


@storage.command()
@_database
@click.option("--keep-days", default=395, show_default=True, help="Calls are kept so long.")
def upkeep(database_url: str, keep_days: int) -> None:
    """Make partitions ahead, end calls whose pod was lost a day ago, and delete what the policy no
    longer keeps. Meant for each night."""
    from callfleet_agent.app.platform import utc_now
    from callfleet_agent.storage.abandoned import end_abandoned
    from callfleet_agent.storage.upkeep import Retention, apply_retention, make_partitions

    async def work(database: "Database") -> str:
        now = utc_now()
        await make_partitions(database, now)
        ended = await end_abandoned(database, now)
        kept = Retention(calls=timedelta(days=keep_days))
        gone = await apply_retention(database, kept, now)
        return (
            f"deleted: {gone.months} months, {gone.calls} calls, {gone.contexts} contexts;"
            f" ended: {ended} lost calls"
        )

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
