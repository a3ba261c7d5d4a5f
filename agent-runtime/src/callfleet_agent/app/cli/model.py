"""`callfleet model`: brings models into a cache, and checks them."""

import asyncio
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from callfleet_agent.app import last_words
from callfleet_agent.app.cli.exits import FAILED

_EPILOG = """\b
Examples:
  callfleet model fetch hf://owner/repository/model.gguf --to /models/mine
  callfleet model verify /models/mine/model.gguf --for llamacpp
  callfleet model checksum /models/mine
"""
_CHECKSUM = click.option("--checksum", metavar="sha256:HEX", help="Digest that it must have.")
_FOR = click.option(
    "--for",
    "engine",
    type=click.Choice(["whisper", "vosk", "llamacpp", "piper", "vllm"]),
    help="Engine that opens it: the model must be in its form.",
)
_TERMINATION_OPTION = click.option(
    "--termination",
    type=click.Path(dir_okay=False, path_type=Path),
    default=last_words.TERMINATION,
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
@_FOR
@click.option(
    "--file",
    metavar="NAME",
    default="",
    help="File of the model that the engine of --for opens; without: the folder.",
)
@click.option(
    "--credentials",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of files with what the source asks for, as a pool's Secret has it.",
)
@click.option("--http", metavar="HOST:PORT", help="Where /progress is told.")
@_TERMINATION_OPTION
def fetch(uri: str, folder: Path, termination: Path, **options: Any) -> None:
    """Bring the model at URI (hf://, s3://, oci://, https://) into a folder, once and whole."""
    from callfleet_agent.services.models.loader import Wanted, load

    with _last_words(termination):
        wanted = Wanted(uri, options["checksum"], options["engine"], options["file"])
        asyncio.run(load(wanted, folder, options["credentials"], options["http"]))


@model.command()
@click.argument("path", type=click.Path(path_type=Path))
@_CHECKSUM
@_FOR
@_TERMINATION_OPTION
def verify(path: Path, checksum: str | None, engine: str | None, termination: Path) -> None:
    """See that a model is at PATH, is the one that is wanted, and one that an engine opens."""
    from callfleet_agent.services.models.fetch import verify as verified

    with _last_words(termination):
        verified(path, checksum, engine)


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
        last_words.write(error.reason, str(error), termination)
        click.echo(f"callfleet: {error.reason}: {error}", err=True)
        sys.exit(FAILED)
