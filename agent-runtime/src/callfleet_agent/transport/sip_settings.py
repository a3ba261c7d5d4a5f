"""Where a SIP endpoint listens, and its limits."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SipEndpointSettings:
    """Port 0 takes a free one; the user agent then advertises it. Times are in seconds."""

    host: str = "0.0.0.0"  # noqa: S104 - a pod is reached at whatever address it has
    port: int = 5060
    udp: bool = True
    tcp: bool = True
    most_connections: int = 512
    idle_connection_s: float = 600.0
    connect_timeout_s: float = 5.0
    receive_buffer_bytes: int = 1 << 22  # of the UDP socket: a busy moment loses no request
    most_unsent_bytes: int = 1 << 20  # of one connection: more, and its peer does not read
    most_waiting_messages: int = 64  # for one connection that is being made
