"""What a user agent is told once, and where it is reached."""

import ipaddress
from dataclasses import dataclass
from typing import Protocol

ALLOWED_METHODS = ("INVITE", "ACK", "BYE", "CANCEL", "OPTIONS", "UPDATE", "INFO")
SUPPORTED_EXTENSIONS = ("timer",)


class Randomness(Protocol):
    """What is needed of ``random.Random`` or ``random.SystemRandom``."""

    def getrandbits(self, k: int, /) -> int: ...

    def uniform(self, a: float, b: float) -> float: ...


@dataclass(frozen=True, slots=True)
class AdvertisedAddress:
    """The address that others are told: in Via and Contact. The bound one may differ."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"{bracketed(self.host)}:{self.port}"


def bracketed(host: str) -> str:
    """``host`` as it stands in a URI: an IPv6 address in brackets."""
    return f"[{host}]" if ":" in host and not host.startswith("[") else host


@dataclass(frozen=True, slots=True)
class Peer:
    """The other end of a message: where it came from, or where it goes.

    ``connection`` numbers the stream it came over; a message to a stream that is gone goes over a
    new one to ``host`` and ``port``.
    """

    transport: str
    host: str
    port: int
    connection: int | None = None


@dataclass(frozen=True, slots=True)
class UserAgentSettings:
    """Timers T1, T2, T4 are RFC 3261's (17.1.1.1); times are in seconds."""

    advertised: AdvertisedAddress
    transports: tuple[str, ...] = ("UDP", "TCP")
    user: str = "agent"
    user_agent: str = "callfleet"
    trusted: tuple[str, ...] = ()  # CIDRs whose P-Asserted-Identity is believed
    session_expires_s: int | None = None  # asked for in our INVITEs (RFC 4028)
    min_session_expires_s: int = 90
    t1_s: float = 0.5
    t2_s: float = 4.0
    t4_s: float = 5.0

    def trusts(self, host: str) -> bool:
        """Is ``host`` an address inside one of the trusted networks?"""
        try:
            address = ipaddress.ip_address(host)
        except ValueError:
            return False
        return any(address in ipaddress.ip_network(cidr, strict=False) for cidr in self.trusted)
