"""Options of the processes that run in pods."""

from pathlib import Path

import click

http_port_option = click.option(
    "--http-port", default=8080, show_default=True, help="Health and metrics."
)
tls_option = click.option(
    "--tls",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("/etc/callfleet/tls"),
    show_default=True,
    help="Folder with tls.crt, tls.key and ca.crt.",
)
