"""A bound UDP socket, made here because uvloop does not say why an address cannot be bound."""

import socket


def bound(host: str, port: int) -> socket.socket:
    """A non-blocking socket on an IP address of this machine.

    OSError with its errno: the address is in use, or not this machine's.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    made = socket.socket(family, socket.SOCK_DGRAM)
    try:
        made.setblocking(False)
        made.bind((host, port))
    except OSError:
        made.close()
        raise
    return made
