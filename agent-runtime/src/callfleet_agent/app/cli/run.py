"""`callfleet run`: an agent on this machine, by the same code as in a pod."""

import os
from pathlib import Path

import click

from callfleet_agent.app.cli.exits import explained

_EPILOG = """\b
Examples:
  callfleet run agent.yaml
  callfleet run agent.yaml --bind 127.0.0.1 --port 5070 --bank-demo
Then, on another terminal:
  callfleet call sip:agent@127.0.0.1:5060 --say "where is my credit card"
"""


@click.command(epilog=_EPILOG, short_help="Answer calls on this machine, as a manifest says.")
@click.argument("manifest", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--bind", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=5060,
    show_default=True,
    help="SIP port, UDP and TCP.",
)
@click.option(
    "--advertise", metavar="IP", help="Address that callers are told, when it is another one."
)
@click.option("--rtp-ports", default="20000-20999", show_default=True, help="UDP ports for sound.")
@click.option(
    "--workers", type=click.IntRange(1, 64), help="Worker processes, over the manifest's."
)
@click.option(
    "--http-port",
    type=click.IntRange(1, 65535),
    help="Serve /healthz, /readyz and /metrics on this port.",
)
@click.option("--bank-demo", is_flag=True, help="Use a demo bank in this process.")
@click.option(
    "--card-status", default="shipped", show_default=True, help="What the demo bank says of cards."
)
@click.option("--json-logs", is_flag=True, help="Log lines as JSON, as in a pod.")
def run(**options: object) -> None:
    """Answer calls on this machine as MANIFEST, a VoiceAgent in YAML, says.

    Ctrl-C says good-bye to every call. Without a banking.url in the manifest, or with `demo:`, a
    demo bank is started: customer number 200417, last four digits of the card 4271.
    """
    from callfleet_agent.app.laptop import LaptopOptions, run_on_laptop

    with explained():
        run_on_laptop(LaptopOptions.of(options), os.environ)
