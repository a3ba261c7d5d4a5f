"""An agent in a pod: `callfleet serve agent`."""

import asyncio
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvloop

from callfleet_agent.app import logs
from callfleet_agent.app.connector import Connector
from callfleet_agent.app.laptop import parse_ports
from callfleet_agent.app.preflight import need_espeak, need_models
from callfleet_agent.app.service_addresses import ServiceAddresses
from callfleet_agent.app.settings import (
    AgentSettings,
    Listen,
    PodIdentity,
    log_level,
    read_manifest,
)
from callfleet_agent.app.trace_setup import traced


@dataclass(frozen=True, slots=True)
class PodOptions:
    """The command line's options."""

    settings: Path
    bind: str
    advertise: str | None
    port: int
    rtp_ports: tuple[int, int]
    http_port: int
    control_port: int
    tls: Path
    trust: tuple[str, ...]

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> "PodOptions":
        """From click's values."""
        trust = tuple(cidr for item in options["trust"] for cidr in item.replace(",", " ").split())
        return cls(**{**options, "rtp_ports": parse_ports(options["rtp_ports"]), "trust": trust})


def run_in_pod(options: PodOptions, environment: Mapping[str, str]) -> None:
    """Run until drained after SIGTERM.

    Raises:
        AppError: the settings are wrong, or the machine lacks something.
    """
    agent = read_manifest(options.settings).agent()
    need_espeak()
    need_models()
    level = log_level(environment)
    identity = PodIdentity.from_environment(environment, agent)
    logs.configure("callfleet-connector", level, fixed=logs.instance(environment))
    settings = AgentSettings(
        agent=agent,
        worker_file=options.settings,
        listen=Listen(
            bind=options.bind,
            advertise=options.advertise,
            sip_port=options.port,
            rtp_first=options.rtp_ports[0],
            rtp_last=options.rtp_ports[1],
            http_port=options.http_port,
            control_port=options.control_port,
            tls_folder=options.tls,
            trusted=options.trust,
        ),
        pod=identity,
        log_level=level,
        services=ServiceAddresses.from_environment(environment),
    )
    with traced("callfleet-connector", environment):
        uvloop.run(_serve(Connector(settings)))


async def _serve(connector: Connector) -> None:
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, connector.terminate)
    loop.add_signal_handler(signal.SIGINT, connector.stop_now)
    await connector.run()
