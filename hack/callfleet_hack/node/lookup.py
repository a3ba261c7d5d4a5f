"""One question to a name server, asked as RFC 1035 says, to know that it works."""

import socket
import struct

PORT = 53
TYPE_A = 1
CLASS_IN = 1
RECURSION_DESIRED = 0x0100
ANSWER_COUNT_AT = 6  # octets into the header (RFC 1035, section 4.1.1)


def question(name: str, identity: int) -> bytes:
    """A query for the address of `name`."""
    header = struct.pack("!6H", identity, RECURSION_DESIRED, 1, 0, 0, 0)
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    return header + labels + b"\0" + struct.pack("!2H", TYPE_A, CLASS_IN)


def has_answer(message: bytes, identity: int) -> bool:
    """Whether a response is to our query and holds at least one record."""
    if len(message) < ANSWER_COUNT_AT + 2:
        return False
    (answered,) = struct.unpack_from("!H", message)
    (records,) = struct.unpack_from("!H", message, ANSWER_COUNT_AT)
    return bool(answered == identity and records > 0)


def answers(name: str, server: str, timeout_s: float = 1.0) -> bool:
    identity = 0x1CF1
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
        asker.settimeout(timeout_s)
        try:
            asker.sendto(question(name, identity), (server, PORT))
            return has_answer(asker.recv(512), identity)
        except OSError:
            return False
