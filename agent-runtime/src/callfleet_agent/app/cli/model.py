"""`callfleet model`: brings models into a cache, and checks them."""

import asyncio
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import click

from callfleet_agent.app.cli.exits import FAILED

_EPILOG = """\b
Examples:
  callfleet model fetch hf://owner/repository/model.gguf --to /models/mine
  callfleet model checksum /models/mine
"""
_TERMINATION = Path("/dev/termination-log")
_CHECKSUM = click.option("--checksum", metavar="sha256:HEX", help="Digest that it must have.")
_TERMINATION_OPTION = click.option(
    "--termination",
    type=click.Path(dir_okay=False, path_type=Path),
    default=_TERMINATION,
    show_default=True,
    help="File for the last words, where it is there.",
)


@click.group(epilog=_EPILOG)
def model() -> None:
    """Bring models of engines into a cache, and check them."""


@model.command()
@click.argument("uri")
@click.option(
    "--to",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    help="Folder of the model; its parent is the cache that others share.",
)
@_CHECKSUM
@click.option(
    "--credentials",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder with token, or accessKeyId, secretAccessKey, region and endpoint.",
)
@click.option("--http", metavar="HOST:PORT", help="Where /progress is told.")
@_TERMINATION_OPTION
def fetch(
    uri: str,
    folder: Path,
    checksum: str | None,
    credentials: Path | None,
    http: str | None,
    termination: Path,
) -> None:
    """Bring the model at URI (hf://, s3://, oci://, https://) into a folder, once and whole."""
    from callfleet_agent.services.models.loader import load

    with _last_words(termination):
        asyncio.run(load(uri, folder, checksum, credentials, http))


@model.command()
@click.argument("path", type=click.Path(path_type=Path))
@_CHECKSUM
@_TERMINATION_OPTION
def verify(path: Path, checksum: str | None, termination: Path) -> None:
    """See that a model is at PATH, and is the one that is wanted."""
    from callfleet_agent.services.models.fetch import verify as verified

    with _last_words(termination):
        verified(path, checksum)


@model.command()
@click.argument("path", type=click.Path(exists=True, path_type=Path))
def checksum(path: Path) -> None:
    """Print the digest of a file or folder, for spec.model.checksum."""
    from callfleet_agent.services.models.checksum import digest

    click.echo(digest(path))


@contextmanager
def _last_words(termination: Path) -> Iterator[None]:
    """An expected error as the operator reads it from the pod, and as a person reads it."""
    from callfleet_agent.services.models.errors import ModelError

    try:
        yield
    except ModelError as error:
        if termination.exists():
            with suppress(OSError):
                told = {"reason": error.reason, "message": str(error)[:300]}
                termination.write_text(json.dumps(told), encoding="utf-8")
        click.echo(f"callfleet: {error.reason}: {error}", err=True)
        sys.exit(FAILED)
