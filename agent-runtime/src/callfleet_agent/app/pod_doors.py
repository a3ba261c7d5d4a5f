"""What a connector opens: SIP, health and metrics, and the operator's control stream."""

import random
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Final

from callfleet_agent.app.control_server import serve_control
from callfleet_agent.app.errors import AddressInUseError
from callfleet_agent.app.metrics import AgentMetrics
from callfleet_agent.app.settings import AgentSettings, Listen
from callfleet_agent.services.control import ControlledPod
from callfleet_agent.services.http import health_app, serve_http
from callfleet_agent.sip import events
from callfleet_agent.sip.settings import AdvertisedAddress, UserAgentSettings
from callfleet_agent.sip.user_agent import UserAgent
from callfleet_agent.transport.sip_endpoint import SipEndpoint, SipEndpointSettings

USER_AGENT: Final = "callfleet/0.1"


def user_agent(settings: AgentSettings, address: str, rng: random.Random) -> UserAgent:
    """The SIP user agent of these settings, reached at this address."""
    listen = settings.listen
    return UserAgent(
        UserAgentSettings(
            advertised=AdvertisedAddress(address, listen.sip_port),
            transports=_transports(settings),
            user="agent",
            trusted=listen.trusted,
            user_agent=USER_AGENT,
        ),
        random=rng,
    )


async def open_sip(
    stack: AsyncExitStack,
    settings: AgentSettings,
    agent: UserAgent,
    on_event: Callable[[events.Event], None],
) -> SipEndpoint:
    """Listen for calls.

    Raises:
        AddressInUseError: the port is another's.
    """
    listen, transports = settings.listen, _transports(settings)
    endpoint = SipEndpoint.open(
        agent,
        on_event,
        SipEndpointSettings(
            host=listen.bind,
            port=listen.sip_port,
            udp="UDP" in transports,
            tcp="TCP" in transports,
        ),
    )
    try:
        return await stack.enter_async_context(endpoint)
    except OSError as error:
        raise AddressInUseError(
            f"cannot listen for SIP on {listen.bind}:{listen.sip_port}: {error.strerror};"
            " another process has the port, or the address is not this machine's"
        ) from error


async def open_health(
    stack: AsyncExitStack,
    listen: Listen,
    metrics: AgentMetrics,
    not_ready: Callable[[], str | None],
) -> int | None:
    """Serve health and metrics; the port, None where there is none."""
    if listen.http_port is None:
        return None
    runner = await serve_http(
        health_app(metrics.registry, lambda: None, not_ready), listen.http_bind, listen.http_port
    )
    stack.push_async_callback(runner.cleanup)
    return int(runner.addresses[0][1])


async def open_control(stack: AsyncExitStack, listen: Listen, pod: ControlledPod) -> int | None:
    """Listen for the operator; the port, None where there is none."""
    if listen.control_port is None:
        return None
    server, port = await serve_control(
        pod, listen.http_bind, listen.control_port, listen.tls_folder
    )
    stack.push_async_callback(server.stop, 1.0)
    return port


def _transports(settings: AgentSettings) -> tuple[str, ...]:
    return tuple(str(transport) for transport in settings.agent.spec.sip.transports)
