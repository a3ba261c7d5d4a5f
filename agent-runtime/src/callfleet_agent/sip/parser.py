"""Bytes to messages.

Two steps, so that a request with a fault can still be answered: ``split_message`` takes the bytes
apart without looking into the fields, ``parse_message`` builds the Request or Response and has it
validated.
"""

import re
from dataclasses import dataclass

from callfleet_agent.sip.errors import RemoteProtocolError
from callfleet_agent.sip.grammar import is_token, parse_number
from callfleet_agent.sip.headers import Headers, full_name
from callfleet_agent.sip.message import Message, Request, Response
from callfleet_agent.sip.uri import parse_uri
from callfleet_agent.sip.validation import check_request, check_response

MAXIMUM_SIZE = 65_535
MAXIMUM_FIELDS = 512
_END_OF_HEADER = re.compile(rb"\r?\n\r?\n")
_LINE_BREAK = re.compile(r"\r?\n")
_FOLD = re.compile(r"[ \t]*\r?\n[ \t]+")
_FIELD = re.compile(r"([^\s:]+)[ \t]*:[ \t]*(.*?)[ \t]*", re.DOTALL)
_STATUS_LINE = re.compile(r"SIP/2\.0 ([0-9]+)(?: ([^\r\n]*))?", re.IGNORECASE)
_REQUEST_LINE = re.compile(r"(\S+) (\S+) (SIP/\d+\.\d+)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class RawMessage:
    """A message taken apart: nothing in it has been believed yet.

    ``fault``: what was wrong with a line that was left out of the headers.
    """

    start_line: str
    headers: Headers
    body: bytes
    fault: str | None = None

    @property
    def is_response(self) -> bool:
        return self.start_line[:8].upper().startswith("SIP/2.0 ")


def split_message(data: bytes) -> RawMessage:
    """Take a whole message apart; line breaks before it are skipped (RFC 3261 section 7.5)."""
    data = data.lstrip(b"\r\n")
    if len(data) > MAXIMUM_SIZE:
        raise RemoteProtocolError("Message Too Large", status=513)
    end = _END_OF_HEADER.search(data)
    if end is None:
        raise RemoteProtocolError("Unterminated header")
    text = data[: end.start()].decode("utf-8", "surrogateescape")
    start_line, *rest = _LINE_BREAK.split(text, maxsplit=1)
    lines = _LINE_BREAK.split(_FOLD.sub(" ", rest[0])) if rest else []
    if len(lines) > MAXIMUM_FIELDS:
        raise RemoteProtocolError("Too many header fields")
    fields = [_split_field(line) for line in lines]
    good = tuple(field for field in fields if field is not None)
    fault = "Malformed header field" if len(good) < len(fields) else None
    return RawMessage(start_line, Headers(good), data[end.end() :], fault)


def _split_field(line: str) -> tuple[str, str] | None:
    match = _FIELD.fullmatch(line)
    # A lone CR inside a value could smuggle a line into what we write from it.
    if match is None or not is_token(match[1]) or "\r" in line:
        return None
    return full_name(match[1]), match[2]


def parse_message(data: bytes) -> Message:
    """Parse one message that arrived whole. RemoteProtocolError when anything in it is wrong."""
    return interpret(split_message(data))


def interpret(raw: RawMessage) -> Message:
    """Build the Request or Response of a RawMessage, and validate it."""
    if raw.fault is not None:
        raise RemoteProtocolError(raw.fault)
    body = _cut_body(raw)
    if raw.is_response:
        response = _response(raw, body)
        check_response(response)
        return response
    request = _request(raw, body)
    check_request(request)
    return request


def _cut_body(raw: RawMessage) -> bytes:
    """The body by Content-Length: what follows is dropped, what lacks is an error (18.3)."""
    lengths = set(raw.headers.get_all("Content-Length"))
    if not lengths:
        return raw.body
    if len(lengths) > 1:
        raise RemoteProtocolError("Contradicting Content-Length")
    length = parse_number(lengths.pop(), "Content-Length", 2**31 - 1)
    if length > len(raw.body):
        raise RemoteProtocolError("Content-Length larger than message")
    return raw.body[:length]


def _response(raw: RawMessage, body: bytes) -> Response:
    match = _STATUS_LINE.fullmatch(raw.start_line)
    if match is None:
        raise RemoteProtocolError("Malformed status line")
    status = parse_number(match[1], "status code", 699)
    if status < 100:
        raise RemoteProtocolError("status code out of range")
    return Response(status=status, reason=match[2] or "", headers=raw.headers, body=body)


def _request(raw: RawMessage, body: bytes) -> Request:
    match = _REQUEST_LINE.fullmatch(raw.start_line)
    if match is None or not is_token(match[1]):
        raise RemoteProtocolError("Malformed request line")
    if match[3].upper() != "SIP/2.0":
        raise RemoteProtocolError("Version Not Supported", status=505)
    return Request(method=match[1], uri=parse_uri(match[2]), headers=raw.headers, body=body)
