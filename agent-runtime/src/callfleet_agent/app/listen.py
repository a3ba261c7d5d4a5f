"""Addresses that processes listen on, as options say them."""

from ipaddress import ip_address

from callfleet_agent.app.errors import AppError


def is_loopback(host: str) -> bool:
    """Whether nobody but this machine reaches it."""
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def parse_address(text: str, option: str) -> tuple[str, int]:
    """`0.0.0.0:9090` as host and port.

    Raises:
        AppError: it is no address.
    """
    host, colon, port = text.rpartition(":")
    if not (colon and host and port.isdigit() and int(port) < 65536):
        raise AppError(f"{option}: {text!r} is no address like 0.0.0.0:9090")
    return host, int(port)
