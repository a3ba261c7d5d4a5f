"""`callfleet audit`: whether the log of banking operations is whole, and where old months are."""

import asyncio
import sys
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from callfleet_agent.app.cli.exits import FAILED, explained
from callfleet_agent.app.errors import SettingsError

if TYPE_CHECKING:
    from callfleet_agent.banking.audit_chain import Broken, Head
    from callfleet_agent.storage.audit import Audited
    from callfleet_agent.storage.audit_months import Archived

_file = click.Path(dir_okay=False, path_type=Path)


_database = click.option(
    "--database-url", envvar="CALLFLEET_DATABASE_URL", required=True, help="postgresql://…"
)
_keys = click.option(
    "--sealing-keys",
    type=click.Path(file_okay=False, path_type=Path),
    envvar="CALLFLEET_SEALING_KEYS",
    required=True,
    help="Folder with the keys; the log's seals are made with the index key.",
)
_anchors = click.option("--anchors", type=_file, help="What an earlier verification has written.")


@click.group()
def audit() -> None:
    """The log of banking operations."""


@audit.command()
@_database
@_keys
@_anchors
@click.option("--write-anchors", type=_file, help="Write the streams' ends; keep them elsewhere.")
@click.option(
    "--archives",
    type=click.Path(file_okay=False, exists=True, path_type=Path),
    help="Folder with the files of months that have left: they are followed too.",
)
def verify(
    database_url: str,
    sealing_keys: Path,
    anchors: Path | None,
    write_anchors: Path | None,
    archives: Path | None,
) -> None:
    """Follow the chain of every stream, and name the first broken row of each.

    Ends with status 1 when one is broken. Only with the anchors of an earlier verification can it
    be seen that the end of a stream was cut off. Of a month that has left, the note that stays is
    checked, and its file where --archives is given. Where --anchors and --write-anchors name the
    same file, the first verification makes it, and says so.
    """
    with explained():
        first = anchors is not None and anchors == write_anchors and not anchors.exists()
        known = {} if first else _known(anchors)
        found = asyncio.run(_verify(database_url, sealing_keys, known, archives))
    if first:
        click.echo("no anchors yet: this time an end that was cut off is not seen")
    _tell(found)
    if write_anchors is not None:
        from callfleet_agent.banking.audit_chain import anchors_text

        with explained():
            _replace(write_anchors, anchors_text(found.heads))


@audit.command()
@_database
@_keys
@_anchors
@click.option(
    "--to",
    "folder",
    type=click.Path(file_okay=False, exists=True, writable=True, path_type=Path),
    required=True,
    help="Folder for the files; keep it where no administrator of the database writes.",
)
@click.option(
    "--keep-days",
    type=click.IntRange(min=31),
    default=730,
    show_default=True,
    help="A month stays for so long after its end.",
)
def archive(
    database_url: str, sealing_keys: Path, anchors: Path | None, folder: Path, keep_days: int
) -> None:
    """Move old months into files, each verified before and after.

    A month whose chain is broken stays, and the command ends with status 1. What stays in the
    database of a month that has left is a sealed note for each of its streams.
    """
    with explained():
        done = asyncio.run(_archive(database_url, sealing_keys, _known(anchors), folder, keep_days))
    for one in done:
        click.echo(f"{one.month}: {one.rows} rows are in {one.file}")
    click.echo(f"{len(done)} months have left")


@audit.command("verify-archive")
@_keys
@_anchors
@click.argument("files", type=_file, nargs=-1, required=True, metavar="FILE…")
def verify_archive(sealing_keys: Path, anchors: Path | None, files: tuple[Path, ...]) -> None:
    """Follow the chains of FILE… without a database: the keys are enough."""
    from callfleet_agent.storage.sealing import read_keys

    with explained():
        sealer = read_keys(sealing_keys)
        found = _followed(files, sealer.index_key, _known(anchors))
    _tell(found)


def _tell(found: "Audited") -> None:
    for broken in found.broken:
        where = f"stream {broken.stream} row {broken.sequence}"
        click.echo(f"{where}: {broken.fault.name.lower()}: {broken.fault}")
    click.echo(f"{found.rows} rows in {len(found.heads)} streams, {len(found.broken)} broken")
    if found.broken:
        sys.exit(FAILED)


def _replace(path: Path, content: bytes) -> None:
    """Whole or not at all: without the former anchors nobody could tell what was cut off."""
    new = path.with_name(f".{path.name}.new")
    try:
        new.write_bytes(content)
        new.replace(path)
    except OSError as error:
        raise SettingsError(f"{path} cannot be written: {error}") from error


def _followed(files: Iterable[Path], secret: bytes, anchors: "dict[str, Head]") -> "Audited":
    from callfleet_agent.banking.audit_archive import check_file
    from callfleet_agent.banking.audit_chain import key_of
    from callfleet_agent.storage.audit import Audited

    heads: dict[str, Head] = {}
    broken: tuple[Broken, ...] = ()
    for path in files:
        try:
            ends, faults = check_file(path.read_bytes(), key_of(secret), anchors)
        except (OSError, ValueError) as error:
            raise SettingsError(f"{path} is no archive of the audit log: {error}") from error
        heads |= ends
        broken += faults
    return Audited(sum(head.sequence for head in heads.values()), heads, broken)


def _known(anchors: Path | None) -> "dict[str, Head]":
    from callfleet_agent.banking.audit_chain import read_anchors

    if anchors is None:
        return {}
    try:
        return read_anchors(anchors.read_bytes())
    except (OSError, ValueError) as error:
        raise SettingsError(f"{anchors} holds no anchors: {error}") from error


async def _archive(
    url: str, keys: Path, anchors: "dict[str, Head]", folder: Path, keep_days: int
) -> "list[Archived]":
    from callfleet_agent.app.platform import utc_now
    from callfleet_agent.storage.audit_months import archive as move
    from callfleet_agent.storage.database import Database, DatabaseSettings
    from callfleet_agent.storage.sealing import read_keys

    before = utc_now() - timedelta(days=keep_days)
    settings = DatabaseSettings(url=url, pool=2, statement_s=600.0)
    async with Database(settings) as database:
        return await move(database, read_keys(keys), folder, before=before, anchors=anchors)


async def _verify(
    url: str, keys: Path, anchors: "dict[str, Head]", archives: Path | None
) -> "Audited":
    from callfleet_agent.storage.audit import verify as follow
    from callfleet_agent.storage.audit_months import notes, of_files
    from callfleet_agent.storage.database import Database, DatabaseSettings
    from callfleet_agent.storage.sealing import read_keys

    settings = DatabaseSettings(url=url, pool=2, statement_s=600.0)
    async with Database(settings) as database:
        sealer = read_keys(keys)
        left = await notes(database)
        found = await follow(database, sealer, anchors, left)
    if archives is None:
        return found
    return of_files(found, left, archives, sealer, anchors)
