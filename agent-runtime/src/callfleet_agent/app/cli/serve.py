"""`callfleet serve`: the processes of the platform, in the foreground."""

import asyncio
import os
import signal
from contextlib import suppress
from pathlib import Path

import click

from callfleet_agent.app.cli.exits import explained
from callfleet_agent.app.cli.platform import ROLES, platform

_AGENT_EPILOG = """\b
Example:
  callfleet serve agent --settings /etc/callfleet/settings/agent.yaml
"""
_BANK_EPILOG = """\b
Example:
  callfleet serve demo-bank --port 8090 --status delivered
Statuses: ordered printed shipped out_for_delivery delivered returned lost blocked.
"""


class _Serve(click.Group):
    """A group in which the roles of platform services need no command before them."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command of the first word, or the platform's with all words."""
        if args and args[0] in ROLES:
            return platform.name, platform, args
        return super().resolve_command(ctx, args)


@click.group(cls=_Serve)
def serve() -> None:
    """Run one of the platform's processes in the foreground: a command below, or one or several
    of the platform's roles, such as session-manager (see `callfleet serve platform --help`).
    """


@serve.command(epilog=_AGENT_EPILOG)
@click.option(
    "--settings",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path("/etc/callfleet/settings/agent.yaml"),
    show_default=True,
    help="The VoiceAgent manifest of this revision.",
)
@click.option("--bind", default="0.0.0.0", show_default=True, help="Address of SIP and RTP.")  # noqa: S104
@click.option("--advertise", metavar="IP", help="Address that callers are told, over POD_IP.")
@click.option("--port", default=5060, show_default=True, help="SIP port, UDP and TCP.")
@click.option("--rtp-ports", default="20000-20999", show_default=True, help="UDP ports for sound.")
@click.option("--http-port", default=8080, show_default=True, help="Health and metrics.")
@click.option("--control-port", default=7443, show_default=True, help="The operator's gRPC, mTLS.")
@click.option(
    "--tls",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("/etc/callfleet/tls"),
    show_default=True,
    help="Folder with tls.crt, tls.key and ca.crt.",
)
@click.option(
    "--trust",
    multiple=True,
    metavar="CIDR",
    envvar="CALLFLEET_TRUSTED",
    help="Network whose word on the caller's number is believed; repeatable.",
)
def agent(**options: object) -> None:
    """The connector of an agent pod, with its workers.

    SIGTERM drains: calls are taken until the operator says that the pod's row is out of the proxy,
    at most five seconds, and the process leaves after the last call.
    """
    from callfleet_agent.app.pod import PodOptions, run_in_pod

    with explained():
        run_in_pod(PodOptions.of(options), os.environ)


serve.add_command(platform)


@serve.command("demo-bank", epilog=_BANK_EPILOG)
@click.option("--host", default="0.0.0.0", show_default=True, help="Address to listen on.")  # noqa: S104
@click.option("--port", default=8090, show_default=True, help="HTTP port.")
@click.option("--status", default="shipped", show_default=True, help="What it says of cards.")
def demo_bank(host: str, port: int, status: str) -> None:
    """A bank to try an agent with: customer number 200417, last four digits of the card 4271."""
    from callfleet_agent.app import demo, logs
    from callfleet_agent.app.settings import log_level

    logs.configure("callfleet-demo-bank", log_level())
    with explained():
        demo.customers(status)
        asyncio.run(_until_told(host, port, status))


async def _until_told(host: str, port: int, status: str) -> None:
    from callfleet_agent.app.demo import demo_bank as serving

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    with suppress(asyncio.CancelledError):
        async with serving(host, port, status):
            await stop.wait()
