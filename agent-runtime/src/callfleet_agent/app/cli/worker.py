"""`callfleet worker`: started by the connector, never by a person."""

import asyncio
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path

import click

NICENESS = 5  # a burst of speech recognition must not delay the connector's packets


@click.command(hidden=True)
@click.option("--socket", "socket_path", type=click.Path(path_type=Path), required=True)
@click.option("--settings", type=click.Path(path_type=Path), required=True)
@click.option(
    "--credentials", type=click.Path(path_type=Path), default=Path("/etc/callfleet/banking")
)
@click.option(
    "--providers",
    type=click.Path(path_type=Path),
    default=Path("/etc/callfleet/live/providers.yaml"),
    help="The live settings: chains of providers. Followed when they change.",
)
def worker(socket_path: Path, settings: Path, credentials: Path, providers: Path) -> None:
    """Hold conversations of calls that a connector hands over."""
    import uvloop

    from callfleet_agent.app import logs
    from callfleet_agent.app.settings import log_level

    plain = os.environ.get("CALLFLEET_PLAIN_LOGS") == "1"
    logs.configure("callfleet-worker", log_level(), plain=plain, fixed=logs.instance())
    logs.quieten_loguru()
    with suppress(OSError):
        os.nice(NICENESS)
    uvloop.run(_work(socket_path, settings, credentials, providers))


async def _work(socket_path: Path, settings: Path, credentials: Path, providers: Path) -> None:
    from callfleet_agent.app.settings import read_manifest
    from callfleet_agent.pipeline import WorkerSettings, worker_main
    from callfleet_agent.transport.link_server import LinkServer

    agent = read_manifest(settings).agent()
    working = asyncio.ensure_future(
        worker_main(
            socket_path,
            WorkerSettings.from_voice_agent(
                agent, credentials_dir=credentials, live_file=providers
            ),
            LinkServer,
            ready=_say_ready,
            parent_pid=os.getppid(),
        )
    )
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, working.cancel)
    with suppress(asyncio.CancelledError):
        await working


def _say_ready() -> None:
    sys.stdout.write('{"event":"ready"}\n')
    sys.stdout.flush()
