"""Command lines of `callfleet` in files, read by the command itself: options that are not there,
and values that it does not take, are errors."""

from collections.abc import Sequence
from typing import Any

import click

from callfleet_agent.app.cli.root import callfleet


def parsed(words: Sequence[str]) -> click.Command:
    """The command that these words run. Raises click.UsageError."""
    return _context(words).command


def parameters(words: Sequence[str]) -> dict[str, Any]:
    """What these words, and the environment, tell the command. Raises click.UsageError."""
    return _context(words).params


def _context(words: Sequence[str]) -> click.Context:
    command: click.Command = callfleet
    name, rest = "callfleet", list(words)
    parent: click.Context | None = None
    while True:
        context = command.make_context(name, rest, parent=parent)
        if not isinstance(command, click.Group):
            return context
        left = [*context._protected_args, *context.args]
        found, chosen, rest = command.resolve_command(context, left)
        assert found is not None
        assert chosen is not None
        name, command, parent = found, chosen, context
