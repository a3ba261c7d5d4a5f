"""SIP and SIPS URIs (RFC 3261 section 19.1), and every other scheme as opaque text."""

import re
from dataclasses import dataclass, field, replace
from typing import Self

from callfleet_agent.sip.errors import RemoteProtocolError
from callfleet_agent.sip.grammar import check_host, parse_port

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]*):(.*)", re.DOTALL)
_ESCAPED = r"%[0-9A-Fa-f]{2}"
_USER = re.compile(rf"(?:[A-Za-z0-9\-_.!~*'()&=+$,;?/]|{_ESCAPED})+")
_PASSWORD = re.compile(rf"(?:[A-Za-z0-9\-_.!~*'()&=+$,]|{_ESCAPED})*")
_PARAMETER = re.compile(rf"(?:[A-Za-z0-9\-_.!~*'()\[\]/:&+$]|{_ESCAPED})+")
_HEADER = re.compile(rf"(?:[A-Za-z0-9\-_.!~*'()\[\]/?:+$]|{_ESCAPED})*")
_OPAQUE = re.compile(r"[!-;=?-~]+")  # printable ASCII without space, < and >
_HOST_PORT = re.compile(r"(\[[^\]]*\]|[^:\[\]]*)(?::(.*))?", re.DOTALL)

DEFAULT_PORTS = {"sip": 5060, "sips": 5061}


@dataclass(frozen=True, slots=True)
class OtherUri:
    """A URI of a scheme this stack does not speak: kept, never interpreted."""

    scheme: str
    rest: str

    def __str__(self) -> str:
        return f"{self.scheme}:{self.rest}"


@dataclass(frozen=True, slots=True)
class SipUri:
    """``sip:user:password@host:port;parameters?headers``; escapes are kept as they came."""

    host: str
    user: str | None = None
    port: int | None = None
    scheme: str = "sip"
    password: str | None = None
    parameters: tuple[tuple[str, str | None], ...] = ()
    headers: tuple[tuple[str, str], ...] = field(default=())

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse a ``sip:`` or ``sips:`` URI; RemoteProtocolError for anything else."""
        uri = parse_uri(text)
        if not isinstance(uri, cls):
            raise RemoteProtocolError("Not a SIP URI", status=416)
        return uri

    def parameter(self, name: str) -> str | None:
        return next((v for k, v in self.parameters if k.lower() == name), None)

    def has_parameter(self, name: str) -> bool:
        return any(k.lower() == name for k, _ in self.parameters)

    @property
    def is_loose(self) -> bool:
        """Does this Route name a loose router (RFC 3261 section 16.4)?"""
        return self.has_parameter("lr")

    @property
    def transport(self) -> str | None:
        value = self.parameter("transport")
        return None if value is None else value.upper()

    @property
    def effective_port(self) -> int:
        return self.port if self.port is not None else DEFAULT_PORTS[self.scheme]

    def as_request_uri(self) -> "SipUri":
        """What may stand in a request line: no headers, no method parameter (19.1.1, table 1)."""
        kept = tuple(item for item in self.parameters if item[0].lower() != "method")
        return replace(self, parameters=kept, headers=())

    def __str__(self) -> str:
        user = "" if self.user is None else self.user
        if self.password is not None:
            user = f"{user}:{self.password}"
        at = "" if self.user is None else "@"
        port = "" if self.port is None else f":{self.port}"
        parameters = "".join(f";{k}" if v is None else f";{k}={v}" for k, v in self.parameters)
        headers = "&".join(f"{k}={v}" for k, v in self.headers)
        question = "?" if headers else ""
        return f"{self.scheme}:{user}{at}{self.host}{port}{parameters}{question}{headers}"


Uri = SipUri | OtherUri


def parse_uri(text: str) -> Uri:
    """Any absolute URI; RemoteProtocolError(400) when it is malformed."""
    match = _SCHEME.fullmatch(text)
    if match is None:
        raise RemoteProtocolError("Malformed URI")
    scheme, rest = match[1].lower(), match[2]
    if scheme in DEFAULT_PORTS:
        return _parse_sip(scheme, rest)
    if not _OPAQUE.fullmatch(rest):
        raise RemoteProtocolError("Malformed URI")
    return OtherUri(match[1], rest)


def _parse_sip(scheme: str, rest: str) -> SipUri:
    userinfo, at, rest = rest.rpartition("@")
    user, password = _parse_userinfo(userinfo) if at else (None, None)
    rest, question, headers = rest.partition("?")
    hostport, *parameters = rest.split(";")
    match = _HOST_PORT.fullmatch(hostport)
    if match is None:
        raise RemoteProtocolError("Malformed URI")
    return SipUri(
        scheme=scheme,
        user=user,
        password=password,
        host=check_host(match[1]),
        port=None if match[2] is None else parse_port(match[2]),
        parameters=tuple(_parse_parameter(part) for part in parameters),
        headers=_parse_headers(headers) if question else (),
    )


def _parse_userinfo(text: str) -> tuple[str, str | None]:
    user, colon, password = text.partition(":")
    if not _USER.fullmatch(user) or not _PASSWORD.fullmatch(password):
        raise RemoteProtocolError("Malformed URI")
    return user, password if colon else None


def _parse_parameter(text: str) -> tuple[str, str | None]:
    name, equals, value = text.partition("=")
    if not _PARAMETER.fullmatch(name) or (equals and not _PARAMETER.fullmatch(value)):
        raise RemoteProtocolError("Malformed URI parameter")
    return name, value if equals else None


def _parse_headers(text: str) -> tuple[tuple[str, str], ...]:
    parsed = []
    for part in text.split("&"):
        name, equals, value = part.partition("=")
        if not equals or not name or not _HEADER.fullmatch(name) or not _HEADER.fullmatch(value):
            raise RemoteProtocolError("Malformed URI header")
        parsed.append((name, value))
    return tuple(parsed)
