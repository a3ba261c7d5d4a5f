"""Where this agent is reached: the one place that decides it, for Contact and for SDP.

In a pod it is the pod's own address, on a laptop the address that it is bound to; behind NAT or a
host port it is what `--advertise` says.
"""

import ipaddress
import socket
from collections.abc import Callable

from callfleet_agent.app.errors import AppError


def advertised_address(
    *,
    advertise: str | None,
    pod_ip: str | None,
    bind: str,
    outgoing: Callable[[], str],
) -> str:
    """The IP address that callers are told, from the strongest word to the weakest.

    Args:
        advertise: what the operator of this process said, if anything.
        pod_ip: the pod's address from the downward API.
        bind: the address the sockets are bound to.
        outgoing: this machine's address toward the network, asked when `bind` is a wildcard.

    Raises:
        AppError: an address is no IP address.
    """
    for name, value in (("--advertise", advertise), ("POD_IP", pod_ip), ("--bind", bind)):
        if not value:
            continue
        address = _parsed(name, value)
        if not address.is_unspecified:
            return str(address)
    return outgoing()


def _parsed(name: str, value: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    try:
        return ipaddress.ip_address(value)
    except ValueError as error:
        raise AppError(f"{name}: {value!r} is no IP address") from error


def outgoing_address() -> str:
    """The address of the interface that packets to the network leave by; sends nothing."""
    return _source_toward("192.0.2.1") or "127.0.0.1"  # RFC 5737: nobody's address


def address_toward(host: str) -> str:
    """The address of the interface that packets to `host` leave by: loopback for this machine."""
    return _source_toward(host) or outgoing_address()


def _source_toward(host: str) -> str | None:
    """None when the host has no address, or no way leads there."""
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, 9, type=socket.SOCK_DGRAM)[0]
        with socket.socket(family, kind) as probe:
            probe.connect(address)  # of UDP: sends nothing
            return str(probe.getsockname()[0])
    except OSError:
        return None
