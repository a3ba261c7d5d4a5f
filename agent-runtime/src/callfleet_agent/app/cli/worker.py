"""`callfleet worker`: started by the connector, never by a person."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from callfleet_agent.banking import Bank

RUN_DIR = Path("/run/callfleet")
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
@click.option("--parent", type=int, default=os.getppid, help="Whose worker it is, as a pid.")
@click.option("--banking-service", default="", help="HOST:PORT of BankingService, for a bank.")
@click.option(
    "--bank-socket",
    type=click.Path(path_type=Path),
    help="Socket of a connector that asks the bank itself.",
)
@click.option("--tls", type=click.Path(path_type=Path), default=Path("/etc/callfleet/tls"))
def worker(banking_service: str, bank_socket: Path | None, tls: Path, **options: Any) -> None:
    """Hold conversations of calls that a connector hands over."""
    import uvloop

    from callfleet_agent.app import logs
    from callfleet_agent.app.settings import log_level

    plain = os.environ.get("CALLFLEET_PLAIN_LOGS") == "1"
    logs.configure("callfleet-worker", log_level(), plain=plain, fixed=logs.instance())
    logs.quieten_loguru()
    with suppress(OSError):
        os.nice(NICENESS)
    bank = partial(_bank, banking_service, bank_socket, tls)
    uvloop.run(_work(bank, identity=tls, **options))


async def _work(
    bank: Callable[[float], "Bank | None"],
    socket_path: Path,
    settings: Path,
    parent: int,
    **files: Path,
) -> None:
    from callfleet_agent.app.settings import read_manifest
    from callfleet_agent.pipeline import WorkerSettings, worker_main
    from callfleet_agent.pipeline.worker import Starter
    from callfleet_agent.transport.link_server import LinkServer

    agent = read_manifest(settings).agent()
    told = WorkerSettings.from_voice_agent(
        agent,
        credentials_dir=files["credentials"],
        live_file=files["providers"],
        accounts_dir=_shared(socket_path.parent) / "accounts",
        identity=files["identity"],
    )
    working = asyncio.ensure_future(
        worker_main(
            socket_path,
            told,
            LinkServer,
            bank=bank(told.bank.timeout_s),
            ready=lambda: _say(event="ready"),
            starter=Starter(parent, lambda step: _say(event="starting", step=step)),
        )
    )
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, working.cancel)
    with suppress(asyncio.CancelledError):
        await working


def _shared(sockets: Path) -> Path:
    """A folder of all workers of a pod; it outlives their connector where there is such a one."""
    return RUN_DIR if os.access(RUN_DIR, os.W_OK) else sockets


def _bank(address: str, socket: Path | None, tls: Path, limit_s: float) -> "Bank | None":
    """The bank behind the connector or the banking service; None: the bank is asked directly."""
    if socket is not None:
        from callfleet_agent.transport.bank_socket import SocketBank

        return SocketBank(socket)
    if not address:
        return None
    from callfleet_agent.services.bank_client import ServiceBank
    from callfleet_agent.services.client import BANKING, ServiceClient

    return ServiceBank(ServiceClient(address, BANKING, tls), limit_s)


def _say(**message: str) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()
