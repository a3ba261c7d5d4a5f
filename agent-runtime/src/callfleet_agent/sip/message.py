"""Requests and responses (RFC 3261 section 7) as frozen values with typed views of their fields.

A view (``message.cseq``) parses when it is first asked for and raises RemoteProtocolError when the
field is missing or malformed; ``validation.check`` asks for all that matter, once, on arrival.
"""

from dataclasses import dataclass, field, replace
from functools import cached_property

from callfleet_agent.sip.errors import RemoteProtocolError
from callfleet_agent.sip.fields.cseq import CSeq
from callfleet_agent.sip.fields.media_type import MediaType
from callfleet_agent.sip.fields.name_addr import NameAddr
from callfleet_agent.sip.fields.retry_after import RetryAfter
from callfleet_agent.sip.fields.session_timer import SessionExpires, parse_min_se
from callfleet_agent.sip.fields.token_list import parse_tokens
from callfleet_agent.sip.fields.via import Via
from callfleet_agent.sip.grammar import parse_number
from callfleet_agent.sip.headers import Headers
from callfleet_agent.sip.uri import Uri


class _Message:
    headers: Headers
    body: bytes

    def required(self, name: str) -> str:
        value = self.headers.get(name)
        if value is None:
            raise RemoteProtocolError(f"Missing {name}")
        return value

    @cached_property
    def vias(self) -> tuple[Via, ...]:
        vias = tuple(Via.parse(value) for value in self.headers.get_list("Via"))
        if not vias:
            raise RemoteProtocolError("Missing Via")
        return vias

    @property
    def via(self) -> Via:
        """The topmost Via."""
        return self.vias[0]

    @cached_property
    def from_(self) -> NameAddr:
        return NameAddr.parse(self.required("From"))

    @cached_property
    def to(self) -> NameAddr:
        return NameAddr.parse(self.required("To"))

    @property
    def call_id(self) -> str:
        return self.required("Call-ID")

    @cached_property
    def cseq(self) -> CSeq:
        return CSeq.parse(self.required("CSeq"))

    @cached_property
    def contacts(self) -> tuple[NameAddr, ...]:
        """The Contacts; ``*`` (REGISTER) is none."""
        values = self.headers.get_list("Contact")
        return () if values == ("*",) else tuple(NameAddr.parse(value) for value in values)

    @cached_property
    def routes(self) -> tuple[NameAddr, ...]:
        return tuple(NameAddr.parse(value) for value in self.headers.get_list("Route"))

    @cached_property
    def record_routes(self) -> tuple[NameAddr, ...]:
        return tuple(NameAddr.parse(value) for value in self.headers.get_list("Record-Route"))

    @cached_property
    def content_type(self) -> MediaType | None:
        value = self.headers.get("Content-Type")
        return None if value is None else MediaType.parse(value)

    @cached_property
    def session_expires(self) -> SessionExpires | None:
        value = self.headers.get("Session-Expires")
        return None if value is None else SessionExpires.parse(value)

    @cached_property
    def min_se(self) -> int | None:
        value = self.headers.get("Min-SE")
        return None if value is None else parse_min_se(value)

    def tokens(self, name: str) -> tuple[str, ...]:
        """A list of tokens such as Allow, Supported or Require."""
        return parse_tokens(self.headers.get_all(name), name)

    def _serialise(self, start_line: str) -> bytes:
        lines = [start_line]
        lines += [
            f"{name}: {value}" for name, value in self.headers if name.lower() != "content-length"
        ]
        lines += [f"Content-Length: {len(self.body)}", "", ""]
        return "\r\n".join(lines).encode("utf-8", "surrogateescape") + self.body


_FIELDS = ("method", "uri", "headers", "body")


@dataclass(frozen=True)
class Request(_Message):
    """A request; ``uri`` is the Request-URI."""

    method: str
    uri: Uri
    headers: Headers = field(default_factory=Headers)
    body: bytes = b""

    @cached_property
    def max_forwards(self) -> int | None:
        value = self.headers.get("Max-Forwards")
        return None if value is None else parse_number(value, "Max-Forwards", 255)

    def with_headers(self, headers: Headers) -> "Request":
        return replace(self, headers=headers)

    def with_vias(self, vias: tuple[Via, ...]) -> "Request":
        """A copy with other Vias, which keeps what was parsed of everything else."""
        lines = tuple(("Via", str(via)) for via in vias)
        copy = self.with_headers(Headers((*lines, *self.headers.without("Via").items)))
        parsed = {k: v for k, v in self.__dict__.items() if k not in _FIELDS}
        copy.__dict__.update(parsed, vias=vias)
        return copy

    def __bytes__(self) -> bytes:
        return self._serialise(f"{self.method} {self.uri} SIP/2.0")


@dataclass(frozen=True)
class Response(_Message):
    """A response."""

    status: int
    reason: str
    headers: Headers = field(default_factory=Headers)
    body: bytes = b""

    @property
    def is_provisional(self) -> bool:
        return self.status < 200

    @property
    def is_success(self) -> bool:
        return 200 <= self.status < 300

    @cached_property
    def retry_after(self) -> int | None:
        value = self.headers.get("Retry-After")
        return None if value is None else RetryAfter.parse(value).seconds

    def __bytes__(self) -> bytes:
        return self._serialise(f"SIP/2.0 {self.status} {self.reason}")


Message = Request | Response
