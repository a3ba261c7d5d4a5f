"""`callfleet serve ROLE…`: the platform's services, one or several in a process."""

import os
from pathlib import Path

import click

from callfleet_agent.app.cli.exits import explained

ROLES = (
    "session-manager", "context-store", "banking", "llm", "vad", "asr", "tts", "ai-voice-connector",
)  # fmt: skip
_EPILOG = """\b
Roles: session-manager context-store banking llm vad asr tts ai-voice-connector.
Example:
  callfleet serve session-manager context-store --sealing-keys /etc/callfleet/sealing \\
      --database-url postgresql://callfleet@db/callfleet --redis-url redis://cache/0
"""


@click.command("platform", epilog=_EPILOG)
@click.argument("roles", nargs=-1, required=True, metavar="ROLE…")
@click.option("--bind", default="0.0.0.0", show_default=True, help="Address to listen on.")  # noqa: S104
@click.option("--port", default=7443, show_default=True, help="gRPC, mutual TLS.")
@click.option("--http-port", default=8080, show_default=True, help="Health and metrics.")
@click.option(
    "--tls",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("/etc/callfleet/tls"),
    show_default=True,
    help="Folder with tls.crt, tls.key and ca.crt.",
)
@click.option(
    "--token-keys",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path("/etc/callfleet/tokens/jwks.json"),
    show_default=True,
    help="JWK set with the public keys of tokens.",
)
@click.option("--token-issuer", default="callfleet", show_default=True, help="Who issues tokens.")
@click.option("--database-url", envvar="CALLFLEET_DATABASE_URL", default="", help="postgresql://…")
@click.option(
    "--redis-url", envvar="CALLFLEET_REDIS_URL", default="", help="redis://… or rediss://…"
)
@click.option("--database-pool", default=10, show_default=True, help="Connections at most.")
@click.option(
    "--sealing-keys",
    type=click.Path(file_okay=False, path_type=Path),
    envvar="CALLFLEET_SEALING_KEYS",
    help="Folder with the keys of what belongs to customers.",
)
@click.option("--bank-url", envvar="CALLFLEET_BANK_URL", default="", help="The bank's API.")
@click.option(
    "--bank-token", type=click.Path(dir_okay=False, path_type=Path), help="File with its token."
)
@click.option("--bank-ca", type=click.Path(dir_okay=False, path_type=Path), help="Its CA's file.")
@click.option(
    "--per-minute", default=100.0, show_default=True, help="Requests a minute for each client."
)
@click.option("--burst", default=20.0, show_default=True, help="Requests of a client at once.")
@click.option(
    "--agents-per-minute",
    default=6000.0,
    show_default=True,
    help="Requests a minute for each agent's pods together.",
)
@click.option(
    "--calls", default=20, show_default=True, help="Conversations at most, for ai-voice-connector."
)
@click.option("--bank-name", default="Example Bank", show_default=True, help="As it is spoken.")
def platform(**options: object) -> None:
    """Serve ROLEs over gRPC until SIGTERM; requests in progress end before the process does."""
    from callfleet_agent.app.platform import PlatformSettings, run_platform

    with explained():
        run_platform(PlatformSettings(**options), os.environ)  # type: ignore[arg-type]
