"""Exit statuses of the command, and one place that turns errors into them."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, NoReturn

import click

from callfleet_agent.app.errors import (
    AddressInUseError,
    AppError,
    ManifestError,
    MissingToolError,
    SettingsError,
)

FAILED: Final = 1
BAD_INPUT: Final = 2  # a manifest or an option is wrong
ADDRESS_IN_USE: Final = 3
MISSING_TOOL: Final = 4
# of `callfleet call`:
NOT_ANSWERED: Final = 10
REFUSED: Final = 11
BROKEN: Final = 12  # answered, but the BYE was refused or unanswered, or no audio came
CUT_OFF: Final = 13  # the agent ended the call before the last turn
STOPPED: Final = 130  # Ctrl-C

_STATUSES: Final = (
    (ManifestError, BAD_INPUT),
    (SettingsError, BAD_INPUT),
    (AddressInUseError, ADDRESS_IN_USE),
    (MissingToolError, MISSING_TOOL),
)


@contextmanager
def explained() -> Iterator[None]:
    """Show an expected error as its text and leave with its status."""
    from callfleet_agent.identity import TlsFilesError
    from callfleet_agent.services.errors import ServicesError
    from callfleet_agent.storage.errors import StorageError

    kinds = (AppError, ServicesError, StorageError, TlsFilesError)
    try:
        yield
    except kinds as error:
        _leave(error)
    except BaseExceptionGroup as group:
        expected = group.subgroup(kinds)
        if expected is None:
            raise
        _leave(_first(expected))


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _leave(error: BaseException) -> NoReturn:
    click.echo(f"callfleet: {error}", err=True)
    sys.exit(next((code for kind, code in _STATUSES if isinstance(error, kind)), FAILED))
