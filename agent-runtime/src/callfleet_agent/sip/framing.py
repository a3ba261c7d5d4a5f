"""Messages out of a stream (RFC 3261 section 18.3): the header to its empty line, then the body."""

import re

from callfleet_agent.sip.errors import RemoteProtocolError
from callfleet_agent.sip.grammar import parse_number

MAXIMUM_HEADER = 16_384
MAXIMUM_BODY = 65_536
_END = re.compile(rb"\r?\n\r?\n")
_LENGTH = re.compile(rb"^(?:content-length|l)[ \t]*:\s*([^\r\n]*)", re.IGNORECASE | re.MULTILINE)


class StreamFramer:
    """Cuts one connection's bytes into messages. After an error the connection is of no use."""

    def __init__(self) -> None:
        self._buffer = b""

    @property
    def idle(self) -> bool:
        """Is no message half received?"""
        return not self._buffer

    def receive(self, data: bytes) -> list[bytes]:
        """Take what arrived; whole messages come out. RemoteProtocolError when there is no end."""
        self._buffer += data
        messages = []
        while (message := self._next()) is not None:
            messages.append(message)
        return messages

    def _next(self) -> bytes | None:
        self._buffer = self._buffer.lstrip(b"\r\n")
        end = _END.search(self._buffer)
        if end is None or end.end() > MAXIMUM_HEADER:
            if len(self._buffer) > MAXIMUM_HEADER:
                raise RemoteProtocolError("Header too large", status=513)
            return None
        size = end.end() + _content_length(self._buffer[: end.start()])
        if len(self._buffer) < size:
            return None
        message, self._buffer = self._buffer[:size], self._buffer[size:]
        return message


def _content_length(header: bytes) -> int:
    """Over a stream every message says how long it is (RFC 3261 section 20.14)."""
    lengths = {value.strip() for value in _LENGTH.findall(header)}
    if not lengths:
        raise RemoteProtocolError("Missing Content-Length")
    if len(lengths) > 1:
        raise RemoteProtocolError("Contradicting Content-Length")
    return parse_number(lengths.pop().decode("ascii", "replace"), "Content-Length", MAXIMUM_BODY)
