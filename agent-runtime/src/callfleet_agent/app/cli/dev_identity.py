"""`callfleet dev-identity`: certificates and tokens for development."""

import signal
import time
from pathlib import Path

import click

from callfleet_agent.app.cli.exits import explained
from callfleet_agent.app.cli.platform import ROLES

_EPILOG = """\b
Example:
  callfleet dev-identity ./identities
  callfleet serve session-manager --tls ./identities/session-manager \\
      --token-keys ./identities/jwks.json …
  grpcurl -cacert ./identities/client/ca.crt -cert ./identities/client/tls.crt \\
      -key ./identities/client/tls.key localhost:7443 list
"""


@click.command("dev-identity", epilog=_EPILOG)
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path), metavar="DIR")
@click.option("--agent", default="card-line", show_default=True, help="Name of the VoiceAgent.")
@click.option("--client", default="client", show_default=True, help="Name of a program.")
@click.option(
    "--host",
    "hosts",
    multiple=True,
    default=("localhost",),
    show_default=True,
    help="A name by which services are reached, besides those of their roles; repeatable.",
)
@click.option(
    "--stay", is_flag=True, help="Stay until SIGTERM, and renew tokens every twenty minutes."
)
def dev_identity(
    folder: Path, agent: str, client: str, hosts: tuple[str, ...], *, stay: bool
) -> None:
    """Write into DIR what the operator gives to pods: a certificate for each of the platform's
    services, for one agent and one client, tokens, and the key set. Never for production.
    """
    from callfleet_agent.app.dev_identity import LIVES, DevIdentities

    identities = DevIdentities(folder, ROLES, agent, client, hosts)
    numbers = [signal.SIGTERM, signal.SIGINT]
    signal.pthread_sigmask(signal.SIG_BLOCK if stay else signal.SIG_UNBLOCK, numbers)
    with explained():
        identities.write(time.time())
        click.echo(f"identities are in {folder}")
        while stay and signal.sigtimedwait(numbers, LIVES.token_s / 3) is None:
            identities.write(time.time())
