"""`callfleet version`."""

import platform
from importlib.metadata import version as installed_version

import click


@click.command()
def version() -> None:
    """Show the version."""
    click.echo(
        f"callfleet {installed_version('callfleet-agent')} (Python {platform.python_version()})"
    )
