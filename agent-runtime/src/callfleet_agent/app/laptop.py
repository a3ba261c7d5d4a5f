"""An agent on one machine, without a cluster: `callfleet run`."""

import asyncio
import json
import os
import signal
from collections.abc import Mapping
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlsplit

import click
import uvloop

from callfleet_agent.app import logs
from callfleet_agent.app.connector import Connector
from callfleet_agent.app.demo import demo_bank
from callfleet_agent.app.errors import AppError
from callfleet_agent.app.preflight import need_espeak, need_models
from callfleet_agent.app.settings import (
    AgentSettings,
    Listen,
    Manifest,
    free_port,
    log_level,
    read_manifest,
)
from callfleet_agent.app.trace_setup import traced
from callfleet_agent.time_limit import at_most
from callfleet_operator.model import VoiceAgent

LOOPBACK = "127.0.0.1"
_BANK_LIMIT_S = 2.0


@dataclass(frozen=True, slots=True)
class LaptopOptions:
    """The command line's options."""

    manifest: Path
    bind: str = LOOPBACK
    port: int = 5060
    advertise: str | None = None
    rtp_ports: tuple[int, int] = (20000, 20999)
    workers: int | None = None
    http_port: int | None = None
    bank_demo: bool = False
    card_status: str = "shipped"
    json_logs: bool = False

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> "LaptopOptions":
        """From click's values."""
        return cls(**{**options, "rtp_ports": parse_ports(options["rtp_ports"])})


def parse_ports(text: str) -> tuple[int, int]:
    """`20000-20999` as numbers.

    Raises:
        AppError: it is no range of ports.
    """
    first, dash, last = text.partition("-")
    if not (dash and first.isdigit() and last.isdigit() and 0 < int(first) < int(last) < 65536):
        raise AppError(f"--rtp-ports: {text!r} is no range like 20000-20999")
    return int(first), int(last)


def run_on_laptop(options: LaptopOptions, environment: Mapping[str, str]) -> None:
    """Run until Ctrl-C.

    Raises:
        AppError: the manifest is wrong, or the machine lacks something.
    """
    manifest = read_manifest(options.manifest)
    demo_port = free_port(LOOPBACK) if options.bank_demo or manifest.wants_demo_bank else None
    agent = _agent(manifest, options, demo_port)
    need_espeak()
    need_models()
    level = log_level(environment)
    logs.configure("callfleet-connector", level, plain=not options.json_logs)
    with TemporaryDirectory(prefix="callfleet-run-") as folder:
        worker_file = Path(folder) / "agent.yaml"
        worker_file.write_text(json.dumps(agent.to_manifest()), encoding="utf-8")
        settings = AgentSettings(
            agent=agent,
            worker_file=worker_file,
            listen=Listen(
                bind=options.bind,
                advertise=options.advertise,
                sip_port=options.port,
                rtp_first=options.rtp_ports[0],
                rtp_last=options.rtp_ports[1],
                http_bind=LOOPBACK,
                http_port=options.http_port,
                control_port=None,
            ),
            log_level=level,
            plain_logs=not options.json_logs,
        )
        os.environ["CALLFLEET_PLAIN_LOGS"] = "0" if options.json_logs else "1"  # for the workers
        with traced("callfleet-connector", os.environ):
            uvloop.run(_serve(Connector(settings), demo_port, options.card_status))


def _agent(manifest: Manifest, options: LaptopOptions, demo_port: int | None) -> VoiceAgent:
    url = None if demo_port is None else f"http://{LOOPBACK}:{demo_port}"
    return manifest.agent(bank_url=url, workers=options.workers)


async def _serve(connector: Connector, demo_port: int | None, card_status: str) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, connector.stop_now)
    async with AsyncExitStack() as stack:
        if demo_port is not None:
            await stack.enter_async_context(demo_bank(LOOPBACK, demo_port, card_status))
        with suppress(asyncio.CancelledError):
            silent = await silent_bank(connector.settings.agent)
            await connector.run(lambda started: _greet(started, demo_port, silent))


async def silent_bank(agent: VoiceAgent) -> bool:
    """Whether nobody listens where the manifest says that the bank is."""
    if agent.spec.banking.url is None:
        return False
    url = urlsplit(agent.spec.banking.url)
    port = url.port or (443 if url.scheme == "https" else 80)
    try:
        async with at_most(_BANK_LIMIT_S):
            _, writer = await asyncio.open_connection(url.hostname, port)
    except (OSError, TimeoutError):
        return True
    writer.close()
    return False


def _greet(connector: Connector, demo_port: int | None, bank_is_silent: bool) -> None:
    """Tell a person how to call."""
    agent = connector.settings.agent
    uri = f"sip:agent@{connector.address}:{connector.sip_port}"
    lines = [
        f"{agent.metadata.name} answers up to {connector.settings.capacity} calls at {uri}",
        f'  callfleet call {uri} --say "where is my credit card"',
        f"  or dial {uri} with any softphone",
    ]
    if demo_port is not None:
        lines.append("  demo bank: customer number 200417, last four digits of the card 4271")
    if bank_is_silent:
        lines.append(
            "  nobody answers at spec.banking.url: callers will hear an apology"
            " (--bank-demo brings a bank)"
        )
    click.echo("\n".join(lines))
