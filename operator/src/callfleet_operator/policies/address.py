"""Where a pod is reached by SIP: the one place that decides it for dispatcher rows."""

from collections.abc import Collection
from ipaddress import ip_address

from callfleet_operator.model import Transport

SIP_PORT = 5060


def sip_uri(ip: str, transports: Collection[Transport]) -> str:
    """The URI of a pod's row: UDP where it is served, else TCP. IPv6 stands in brackets.

    Raises ValueError when `ip` is no address.
    """
    address = ip_address(ip)
    host = f"[{address}]" if address.version == 6 else str(address)
    suffix = "" if Transport.UDP in transports else ";transport=tcp"
    return f"sip:{host}:{SIP_PORT}{suffix}"
