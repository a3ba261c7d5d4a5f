"""Building responses (RFC 3261 section 8.2.6)."""

from collections.abc import Iterable

from callfleet_agent.sip.headers import Headers
from callfleet_agent.sip.message import Request, Response

PHRASES = {
    100: "Trying",
    180: "Ringing",
    183: "Session Progress",
    200: "OK",
    400: "Bad Request",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    408: "Request Timeout",
    415: "Unsupported Media Type",
    416: "Unsupported URI Scheme",
    420: "Bad Extension",
    422: "Session Interval Too Small",
    480: "Temporarily Unavailable",
    481: "Call/Transaction Does Not Exist",
    482: "Loop Detected",
    483: "Too Many Hops",
    486: "Busy Here",
    487: "Request Terminated",
    488: "Not Acceptable Here",
    491: "Request Pending",
    500: "Server Internal Error",
    503: "Service Unavailable",
    505: "Version Not Supported",
    513: "Message Too Large",
    600: "Busy Everywhere",
    603: "Decline",
}
_COPIED = ("via", "from", "to", "call-id", "cseq")


def phrase(status: int) -> str:
    return PHRASES.get(status, "Response")


def make_response(
    request: Request,
    status: int,
    reason: str | None = None,
    *,
    to_tag: str | None = None,
    headers: Iterable[tuple[str, str]] = (),
    body: bytes = b"",
) -> Response:
    """A response to ``request``; ``to_tag`` is added where To has none yet."""
    copied = copy_fields(request.headers)
    if to_tag is not None and request.to.tag is None:
        copied = copied.with_first("To", str(request.to.with_tag(to_tag)))
    return Response(
        status=status,
        reason=phrase(status) if reason is None else reason,
        headers=copied.with_added(*headers),
        body=body,
    )


def copy_fields(headers: Headers) -> Headers:
    """The fields of a request that every response repeats, all Vias in their order."""
    return Headers(tuple(item for item in headers if item[0].lower() in _COPIED))
