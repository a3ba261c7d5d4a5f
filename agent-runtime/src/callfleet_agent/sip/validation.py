"""What must hold for a message before any state machine sees it (RFC 3261 section 8.2, RFC 4475).

The checks are an ordered tuple of small functions; each raises RemoteProtocolError with the status
that a request with this fault is answered with.
"""

from callfleet_agent.sip.errors import RemoteProtocolError
from callfleet_agent.sip.fields.date import check_date
from callfleet_agent.sip.fields.session_timer import MAXIMUM_S
from callfleet_agent.sip.grammar import parse_number
from callfleet_agent.sip.message import Message, Request, Response
from callfleet_agent.sip.uri import SipUri

SINGLE_FIELDS = ("From", "To", "Call-ID", "CSeq", "Max-Forwards", "Content-Type")

TOKEN_FIELDS = ("Allow", "Supported", "Require", "Content-Encoding")


def _no_repeats(message: Message) -> None:
    for name in SINGLE_FIELDS:
        if len(message.headers.get_all(name)) > 1:
            raise RemoteProtocolError(f"Repeated {name}")


def _essentials(message: Message) -> None:
    """From, To, CSeq, Call-ID and Via are there and parse; From and To have one tag at most."""
    _ = message.vias, message.from_, message.to, message.cseq
    if not message.call_id or any(character.isspace() for character in message.call_id):
        raise RemoteProtocolError("Malformed Call-ID")


def _addresses(message: Message) -> None:
    _ = message.contacts, message.routes, message.record_routes


def _scalars(message: Message) -> None:
    _ = message.content_type, message.session_expires, message.min_se
    for name in TOKEN_FIELDS:
        message.tokens(name)
    if (expires := message.headers.get("Expires")) is not None:
        parse_number(expires, "Expires", MAXIMUM_S)
    if (date := message.headers.get("Date")) is not None:
        check_date(date)


def _request_line(request: Request) -> None:
    if isinstance(request.uri, SipUri) and request.uri.headers:
        raise RemoteProtocolError("Request-URI must have no headers")


def _same_method(request: Request) -> None:
    if request.cseq.method != request.method:
        raise RemoteProtocolError("CSeq method does not match")


def _contact_expires(request: Request) -> None:
    for contact in request.contacts:
        expires = contact.parameters.get("expires")
        if expires is not None:
            parse_number(expires, "expires", MAXIMUM_S)


def _forwards(request: Request) -> None:
    _ = request.max_forwards


def _retry_after(response: Response) -> None:
    _ = response.retry_after


_MESSAGE_CHECKS = (_no_repeats, _essentials, _addresses, _scalars)
_REQUEST_CHECKS = (_request_line, _same_method, _forwards, _contact_expires)
_RESPONSE_CHECKS = (_retry_after,)


def check_request(request: Request) -> None:
    """RemoteProtocolError for the first thing that is wrong with a request."""
    for check in _MESSAGE_CHECKS:
        check(request)
    for check_one in _REQUEST_CHECKS:
        check_one(request)


def check_response(response: Response) -> None:
    """RemoteProtocolError for the first thing that is wrong with a response."""
    for check in _MESSAGE_CHECKS:
        check(response)
    for check_one in _RESPONSE_CHECKS:
        check_one(response)
