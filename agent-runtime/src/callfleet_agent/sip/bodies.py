"""Bodies of requests: session descriptions and DTMF relay."""

import re

from callfleet_agent.sip.errors import RemoteProtocolError
from callfleet_agent.sip.message import Request, Response
from callfleet_agent.sip.sdp import SessionDescription

SDP = "application/sdp"
DTMF_RELAY = "application/dtmf-relay"
DTMF = "application/dtmf"
ACCEPTED_TYPES = {
    "INVITE": (SDP,),
    "UPDATE": (SDP,),
    "ACK": (SDP,),
    "INFO": (DTMF_RELAY, DTMF),
}
DEFAULT_DTMF_MS = 160
_DIGIT = re.compile(r"[0-9A-D*#]")
_RELAY_LINE = re.compile(r"\s*(Signal|Duration)\s*=\s*(\S+)\s*", re.IGNORECASE)


def description_of(message: Request | Response) -> SessionDescription | None:
    """The session description that ``message`` carries; RemoteProtocolError(400) when broken."""
    content_type = message.content_type
    if not message.body or content_type is None or content_type.essence != SDP:
        return None
    return SessionDescription.parse(message.body)


def dtmf_of(request: Request) -> tuple[str, int] | None:
    """The key and its milliseconds that an INFO tells of, None for an INFO without body."""
    content_type = request.content_type
    if not request.body or content_type is None:
        return None
    text = request.body.decode("ascii", "replace")
    if content_type.essence == DTMF:
        return _digit(text.strip()), DEFAULT_DTMF_MS
    found = (match for line in text.splitlines() if (match := _RELAY_LINE.fullmatch(line)))
    values = {match[1].lower(): match[2] for match in found}
    duration = values.get("duration", "")
    milliseconds = int(duration) if duration.isdecimal() and len(duration) < 6 else DEFAULT_DTMF_MS
    return _digit(values.get("signal", "")), milliseconds


def _digit(text: str) -> str:
    names = {"10": "*", "11": "#"}
    digit = names.get(text, text.upper())
    if not _DIGIT.fullmatch(digit):
        raise RemoteProtocolError("Malformed DTMF")
    return digit


def dtmf_body(digit: str, duration_ms: int) -> bytes:
    """What our INFO says of a key."""
    return f"Signal={_digit(digit)}\r\nDuration={duration_ms}\r\n".encode("ascii")
