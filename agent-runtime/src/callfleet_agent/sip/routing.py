"""Where a request goes (RFC 3261 section 8.1.2, RFC 3263 without its DNS lookups)."""

from callfleet_agent.sip.errors import RemoteProtocolError
from callfleet_agent.sip.fields.name_addr import NameAddr
from callfleet_agent.sip.fields.via import Via
from callfleet_agent.sip.message import Request
from callfleet_agent.sip.settings import Peer
from callfleet_agent.sip.uri import SipUri, Uri


def destination_of(uri: Uri, transports: tuple[str, ...]) -> Peer:
    """The address behind ``uri``. The host may be a name: the transport resolves it.

    RemoteProtocolError(416) for a scheme or a transport that this user agent does not have.
    """
    if not isinstance(uri, SipUri) or uri.scheme != "sip":
        raise RemoteProtocolError("Unsupported URI Scheme", status=416)
    transport = uri.transport or ("UDP" if "UDP" in transports else transports[0])
    if transport not in transports:
        raise RemoteProtocolError("Unsupported transport", status=416)
    host = (uri.parameter("maddr") or uri.host).strip("[]")
    return Peer(transport, host, uri.effective_port)


def next_hop(request: Request) -> Uri:
    """The URI that a request is sent to: its first Route, or its Request-URI.

    Behind a strict router the Request-URI already names that router, which wins.
    """
    if request.routes and _is_loose(request.routes[0]):
        return request.routes[0].uri
    return request.uri


def _is_loose(route: NameAddr) -> bool:
    return isinstance(route.uri, SipUri) and route.uri.is_loose


def response_peer(via: Via, source: Peer) -> Peer:
    """Where the responses of a request go that arrived from ``source`` (18.2.2)."""
    if source.connection is None:
        return Peer(source.transport, *via.response_address())
    host = via.parameters.get("received") or via.host
    return Peer(source.transport, host.strip("[]"), via.port or 5060, source.connection)


def route_request(
    target: Uri,
    route_set: tuple[NameAddr, ...],
) -> tuple[Uri, tuple[NameAddr, ...]]:
    """Request-URI and Route of a request inside a dialog (RFC 3261 section 12.2.1.1)."""
    if not route_set or _is_loose(route_set[0]):
        return target, route_set
    first = route_set[0].uri
    uri = first.as_request_uri() if isinstance(first, SipUri) else first
    return uri, (*route_set[1:], NameAddr(target))
