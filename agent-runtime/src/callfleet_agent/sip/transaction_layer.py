"""Which transaction a message belongs to (RFC 3261 sections 17.1.3, 17.2.3 and 18)."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

from callfleet_agent.sip.core import Core
from callfleet_agent.sip.errors import RemoteProtocolError
from callfleet_agent.sip.fields.via import MAGIC_COOKIE, Via
from callfleet_agent.sip.grammar import Parameters
from callfleet_agent.sip.headers import Headers
from callfleet_agent.sip.message import Request, Response
from callfleet_agent.sip.routing import destination_of, next_hop
from callfleet_agent.sip.settings import Peer, bracketed
from callfleet_agent.sip.transaction import ClientTransaction, ServerTransaction

LARGEST_DATAGRAM = 1300  # RFC 3261 section 18.1.1

Key = tuple[str, ...]


class TransactionUser(Protocol):
    """Who is asked when a message belongs to no transaction."""

    def on_request(self, transaction: ServerTransaction) -> None: ...

    def on_ack(self, request: Request) -> None: ...


@dataclass(frozen=True, slots=True)
class Handlers:
    """What happens with a request's responses, and when there will be none (408 or 503)."""

    on_response: Callable[[Response], None]
    on_failure: Callable[[int], None]


class TransactionLayer:
    """All transactions of one user agent."""

    def __init__(self, core: Core, user: TransactionUser) -> None:
        self._core = core
        self._user = user
        self._clients: dict[Key, ClientTransaction] = {}
        self._servers: dict[Key, ServerTransaction] = {}
        self._merging: dict[Key, ServerTransaction] = {}

    @property
    def idle(self) -> bool:
        return not self._clients and not self._servers

    # Requests of ours

    def request(
        self,
        request: Request,
        handlers: Handlers,
        flow: Peer | None = None,
    ) -> ClientTransaction:
        """Send ``request`` (it has no Via yet). ``flow``: the connection of the dialog's peer."""
        peer = self._destination(request, flow)
        larger = self._larger_transport(request, peer)
        sent = self._with_via(request, (larger or peer).transport)
        return self._start(sent, handlers, larger or peer, peer if larger else None)

    def request_like(
        self,
        request: Request,
        handlers: Handlers,
        other: ClientTransaction,
    ) -> ClientTransaction:
        """Send a CANCEL: the Via of ``other`` is its own too (9.1)."""
        headers = request.headers.with_first("Via", str(other.request.via))
        return self._start(request.with_headers(headers), handlers, other.peer, None)

    def send(self, request: Request, flow: Peer | None = None) -> Callable[[], None]:
        """Send an ACK for a success, which is no transaction; what is returned sends it again."""
        peer = self._destination(request, flow)
        data = bytes(self._with_via(request, peer.transport))

        def send() -> None:
            self._core.send(peer, data)

        send()
        return send

    def _start(
        self,
        request: Request,
        handlers: Handlers,
        peer: Peer,
        fallback: Peer | None,
    ) -> ClientTransaction:
        transaction = ClientTransaction(
            self._core,
            request,
            peer,
            on_response=handlers.on_response,
            on_failure=handlers.on_failure,
            fallback=fallback,
        )
        key = (request.via.branch or "", request.method)
        self._clients[key] = transaction

        def forget() -> None:
            self._clients.pop(key, None)

        transaction.on_terminated = forget
        transaction.start()
        return transaction

    def _destination(self, request: Request, flow: Peer | None) -> Peer:
        """The next hop; where it is nothing we can speak to, the way its dialog came."""
        try:
            peer = destination_of(next_hop(request), self._core.settings.transports)
        except RemoteProtocolError:
            if flow is None:
                raise
            return flow
        same = flow is not None and flow.connection is not None and flow.host == peer.host
        if flow is not None and same and flow.transport == peer.transport:
            return replace(peer, connection=flow.connection)
        return peer

    def _larger_transport(self, request: Request, peer: Peer) -> Peer | None:
        """TCP for what no datagram should carry, where we have it."""
        if peer.transport != "UDP" or "TCP" not in self._core.settings.transports:
            return None
        size = len(bytes(self._with_via(request, "UDP")))
        return replace(peer, transport="TCP") if size > LARGEST_DATAGRAM else None

    def _with_via(self, request: Request, transport: str) -> Request:
        advertised = self._core.settings.advertised
        branch = f"{MAGIC_COOKIE}{self._core.token()}"
        via = Via(
            transport,
            bracketed(advertised.host),
            advertised.port,
            Parameters((("rport", None), ("branch", branch))),
        )
        return request.with_headers(Headers((("Via", str(via)), *request.headers.items)))

    # What arrives

    def receive_response(self, response: Response) -> None:
        """Hand a response to its request; strangers' and broken ones are dropped (18.1.2)."""
        advertised = self._core.settings.advertised
        via = response.via
        if len(response.vias) != 1 or via.sent_by != str(advertised):
            return
        client = self._clients.get((via.branch or "", response.cseq.method))
        if client is not None:
            client.receive(response)

    def receive_request(self, request: Request, source: Peer) -> None:
        request = _stamp(request, source)
        known = self._servers.get(_server_key(request))
        if request.method == "ACK":
            self._receive_ack(request, known)
        elif known is not None:
            known.repeated()
        else:
            self._user.on_request(self._open(request, source))

    def _receive_ack(self, request: Request, invite: ServerTransaction | None) -> None:
        """The ACK for a refusal ends its transaction; for a success it concerns the dialog."""
        if invite is not None and invite.response is not None and not invite.response.is_success:
            invite.acknowledged()
        else:
            self._user.on_ack(request)

    def _open(self, request: Request, source: Peer) -> ServerTransaction:
        transaction = ServerTransaction(self._core, request, source)
        key, merge_key = _server_key(request), _merge_key(request)
        self._servers[key] = transaction
        self._merging.setdefault(merge_key, transaction)

        def forget() -> None:
            del self._servers[key]
            if self._merging.get(merge_key) is transaction:
                del self._merging[merge_key]

        transaction.on_terminated = forget
        return transaction

    def is_merged(self, transaction: ServerTransaction) -> bool:
        """Did the same request come on another way before (RFC 3261 section 8.2.2.2)?"""
        if transaction.request.to.tag is not None:
            return False
        return self._merging.get(_merge_key(transaction.request)) is not transaction

    def invite_of(self, cancel: Request) -> ServerTransaction | None:
        """The INVITE that a CANCEL means."""
        return self._servers.get(_server_key(cancel, "INVITE"))

    def transport_failed(self, peer: Peer) -> None:
        """Nothing can be delivered to ``peer``."""
        for client in list(self._clients.values()):
            if client.peer == peer:
                client.unreachable()


def _stamp(request: Request, source: Peer) -> Request:
    """Write down in the topmost Via where the request came from."""
    top, *rest = request.vias
    return request.with_vias((top.seen_from(source.host, source.port), *rest))


def _server_key(request: Request, method: str | None = None) -> Key:
    """By branch and sender; for RFC 2543's branches by everything that identifies the request."""
    method = method or ("INVITE" if request.method == "ACK" else request.method)
    via = request.via
    if via.has_cookie:
        return (via.branch or "", via.sent_by.lower(), method)
    return (
        via.branch or "",
        via.sent_by.lower(),
        method,
        str(request.uri),
        request.call_id,
        str(request.cseq.number),
        request.from_.tag or "",
    )


def _merge_key(request: Request) -> Key:
    return (request.from_.tag or "", request.call_id, str(request.cseq))
