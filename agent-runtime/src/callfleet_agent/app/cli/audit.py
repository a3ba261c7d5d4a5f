"""`callfleet audit`: whether the log of banking operations is whole."""

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from callfleet_agent.app.cli.exits import FAILED, explained
from callfleet_agent.app.errors import SettingsError

if TYPE_CHECKING:
    from callfleet_agent.banking.audit_chain import Head
    from callfleet_agent.storage.audit import Audited

_file = click.Path(dir_okay=False, path_type=Path)


@click.group()
def audit() -> None:
    """The log of banking operations."""


@audit.command()
@click.option(
    "--database-url", envvar="CALLFLEET_DATABASE_URL", required=True, help="postgresql://…"
)
@click.option(
    "--sealing-keys",
    type=click.Path(file_okay=False, path_type=Path),
    envvar="CALLFLEET_SEALING_KEYS",
    required=True,
    help="Folder with the keys; the log's seals are made with the index key.",
)
@click.option("--anchors", type=_file, help="What an earlier verification has written.")
@click.option("--write-anchors", type=_file, help="Write the streams' ends; keep them elsewhere.")
def verify(
    database_url: str, sealing_keys: Path, anchors: Path | None, write_anchors: Path | None
) -> None:
    """Follow the chain of every stream, and name the first broken row of each.

    Ends with status 1 when one is broken. Only with the anchors of an earlier verification can it
    be seen that the end of a stream was cut off.
    """
    with explained():
        found = asyncio.run(_verify(database_url, sealing_keys, _known(anchors)))
    for broken in found.broken:
        where = f"stream {broken.stream} row {broken.sequence}"
        click.echo(f"{where}: {broken.fault.name.lower()}: {broken.fault}")
    click.echo(f"{found.rows} rows in {len(found.heads)} streams, {len(found.broken)} broken")
    if found.broken:
        sys.exit(FAILED)
    if write_anchors is not None:
        from callfleet_agent.banking.audit_chain import anchors_text

        write_anchors.write_bytes(anchors_text(found.heads))


def _known(anchors: Path | None) -> "dict[str, Head]":
    from callfleet_agent.banking.audit_chain import read_anchors

    if anchors is None:
        return {}
    try:
        return read_anchors(anchors.read_bytes())
    except (OSError, ValueError) as error:
        raise SettingsError(f"{anchors} holds no anchors: {error}") from error


async def _verify(url: str, keys: Path, anchors: "dict[str, Head]") -> "Audited":
    from callfleet_agent.storage.audit import verify as follow
    from callfleet_agent.storage.database import Database, DatabaseSettings
    from callfleet_agent.storage.sealing import read_keys

    settings = DatabaseSettings(url=url, pool=2, statement_s=600.0)
    async with Database(settings) as database:
        return await follow(database, read_keys(keys), anchors)
