"""The lines of a session description (RFC 8866 section 5) as frozen values.

Lines that mean nothing to a telephone (i, u, e, p, b, r, z, k) are accepted and not kept.
"""

import re
from dataclasses import dataclass
from typing import Self

from callfleet_agent.sip.errors import RemoteProtocolError
from callfleet_agent.sip.grammar import parse_number

DIRECTIONS = ("sendrecv", "sendonly", "recvonly", "inactive")
MAXIMUM_LINES = 1000
_TYPES = "vosiuepcbtrzkam"
_ADDRESS = re.compile(r"[A-Za-z0-9.:\-_]+")
_MAXIMUM_ID = 2**64 - 1

Attributes = tuple[tuple[str, str | None], ...]


@dataclass(frozen=True, slots=True)
class Connection:
    """``c=IN IP4 address``."""

    address: str

    @classmethod
    def parse(cls, value: str) -> Self:
        parts = value.split()
        if len(parts) != 3 or parts[0] != "IN" or parts[1] not in ("IP4", "IP6"):
            raise RemoteProtocolError("Malformed connection in session description")
        address = parts[2].partition("/")[0]
        if not _ADDRESS.fullmatch(address):
            raise RemoteProtocolError("Malformed connection in session description")
        return cls(address)

    def __str__(self) -> str:
        return f"IN {family(self.address)} {self.address}"


def family(address: str) -> str:
    """``IP4`` or ``IP6``; a name counts as IPv4."""
    return "IP6" if ":" in address else "IP4"


@dataclass(frozen=True, slots=True)
class Origin:
    """``o=``: who describes which session, and which version of the description this is."""

    address: str
    session_id: int
    version: int
    username: str = "-"

    @classmethod
    def parse(cls, value: str) -> Self:
        parts = value.split()
        if len(parts) != 6:
            raise RemoteProtocolError("Malformed origin in session description")
        return cls(
            username=parts[0],
            session_id=parse_number(parts[1], "origin", _MAXIMUM_ID),
            version=parse_number(parts[2], "origin", _MAXIMUM_ID),
            address=parts[5],
        )

    def __str__(self) -> str:
        address = f"IN {family(self.address)} {self.address}"
        return f"{self.username} {self.session_id} {self.version} {address}"


@dataclass(frozen=True, slots=True)
class Media:
    """One ``m=`` line with what belongs to it. Port 0: refused or not wanted."""

    kind: str
    port: int
    protocol: str
    formats: tuple[str, ...]
    connection: Connection | None = None
    attributes: Attributes = ()
    port_count: int = 1

    @classmethod
    def parse(cls, value: str) -> Self:
        parts = value.split()
        if len(parts) < 4:
            raise RemoteProtocolError("Malformed media in session description")
        port, slash, count = parts[1].partition("/")
        return cls(
            kind=parts[0],
            port=parse_number(port, "media port", 65535),
            protocol=parts[2],
            formats=tuple(parts[3:]),
            port_count=parse_number(count, "media port", 65535) if slash else 1,
        )

    def attribute(self, name: str) -> str | None:
        return next((value for key, value in self.attributes if key == name), None)

    def has(self, name: str) -> bool:
        return any(key == name for key, _ in self.attributes)

    def lines(self) -> list[str]:
        count = f"/{self.port_count}" if self.port_count != 1 else ""
        lines = [f"m={self.kind} {self.port}{count} {self.protocol} {' '.join(self.formats)}"]
        if self.connection is not None:
            lines.append(f"c={self.connection}")
        return lines + _attribute_lines(self.attributes)


@dataclass(frozen=True, slots=True)
class SessionDescription:
    """A whole description."""

    origin: Origin
    media: tuple[Media, ...] = ()
    connection: Connection | None = None
    attributes: Attributes = ()
    name: str = "-"

    @classmethod
    def parse(cls, data: bytes | str) -> "SessionDescription":
        """RemoteProtocolError(400) with the reason when ``data`` is no session description."""
        text = data.decode("utf-8", "surrogateescape") if isinstance(data, bytes) else data
        lines = [line for line in text.replace("\r\n", "\n").split("\n") if line]
        if len(lines) > MAXIMUM_LINES or "\r" in text.replace("\r\n", ""):
            raise RemoteProtocolError("Malformed session description")
        return _Reader().read(lines).finish()

    def connection_of(self, media: Media) -> Connection:
        """The media's own ``c=`` or the session's."""
        connection = media.connection or self.connection
        if connection is None:
            raise RemoteProtocolError("Missing connection in session description")
        return connection

    def direction_of(self, media: Media) -> str:
        """The media's direction, the session's, or sendrecv."""
        for attributes in (media.attributes, self.attributes):
            for name, _ in attributes:
                if name in DIRECTIONS:
                    return name
        return "sendrecv"

    def __str__(self) -> str:
        lines = ["v=0", f"o={self.origin}", f"s={self.name}"]
        if self.connection is not None:
            lines.append(f"c={self.connection}")
        lines.append("t=0 0")
        lines += _attribute_lines(self.attributes)
        for media in self.media:
            lines += media.lines()
        return "".join(f"{line}\r\n" for line in lines)

    def __bytes__(self) -> bytes:
        return str(self).encode("utf-8", "surrogateescape")


def _attribute_lines(attributes: Attributes) -> list[str]:
    return [f"a={name}" if value is None else f"a={name}:{value}" for name, value in attributes]


class _Reader:
    """Collects the lines of one description."""

    def __init__(self) -> None:
        self._once: dict[str, str] = {}
        self._attributes: list[tuple[str, str | None]] = []
        self._connection: Connection | None = None
        self._media: list[Media] = []
        self._session: tuple[Attributes, Connection | None] = ((), None)

    def read(self, lines: list[str]) -> Self:
        if not lines or lines[0].rstrip() != "v=0":
            raise RemoteProtocolError("Session description does not begin with v=0")
        for line in lines:
            kind, equals, value = line[:1], line[1:2], line[2:].strip()
            if equals != "=" or kind not in _TYPES:
                raise RemoteProtocolError("Malformed line in session description")
            self._read_line(kind, value)
        self._close_media()
        return self

    def _read_line(self, kind: str, value: str) -> None:
        if kind == "m":
            self._close_media()
            self._media.append(Media.parse(value))
        elif kind == "c":
            self._connection = Connection.parse(value)
        elif kind == "a":
            name, colon, text = value.partition(":")
            self._attributes.append((name, text if colon else None))
        elif kind in "vost":
            if kind in self._once and kind != "t":
                raise RemoteProtocolError("Repeated line in session description")
            self._once[kind] = value

    def _close_media(self) -> None:
        """What was read since the last m= belongs to it; before the first, to the session."""
        attributes, connection = tuple(self._attributes), self._connection
        self._attributes, self._connection = [], None
        if not self._media:
            self._session = (attributes, connection)
            return
        last = self._media[-1]
        self._media[-1] = Media(
            last.kind,
            last.port,
            last.protocol,
            last.formats,
            connection,
            attributes,
            last.port_count,
        )

    def finish(self) -> SessionDescription:
        if "o" not in self._once:
            raise RemoteProtocolError("Missing origin in session description")
        attributes, connection = self._session
        return SessionDescription(
            origin=Origin.parse(self._once["o"]),
            media=tuple(self._media),
            connection=connection,
            attributes=attributes,
            name=self._once.get("s", "-") or "-",
        )
