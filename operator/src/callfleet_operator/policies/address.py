"""Where a pod is reached by SIP: the one place that decides it for dispatcher rows."""

from collections.abc import Collection
from functools import lru_cache
from ipaddress import ip_address

from callfleet_operator.model import Transport

SIP_PORT = 5060


def sip_uri(ip: str, transports: Collection[Transport]) -> str:
    """The URI of a pod's row: UDP where it is served, else TCP. IPv6 stands in brackets.

    Raises ValueError when `ip` is no address.
    """
    suffix = "" if Transport.UDP in transports else ";transport=tcp"
    return f"sip:{_host(ip)}:{SIP_PORT}{suffix}"


@lru_cache(maxsize=16384)
def _host(ip: str) -> str:
    """Asked for every pod in every look: parsed once."""
    address = ip_address(ip)
    return f"[{address}]" if address.version == 6 else str(address)
