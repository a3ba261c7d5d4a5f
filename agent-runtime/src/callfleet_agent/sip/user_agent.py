"""The user agent: bytes and the time go in, events, datagrams and the next timer come out.

It does no I/O. After every call of a method the owner sends ``take_datagrams()``, handles
``take_events()`` and calls ``handle_timers`` when ``next_timer()`` is due. ``now`` is in seconds of
one monotonic clock throughout.
"""

import re
from collections.abc import Iterable
from dataclasses import replace

from callfleet_agent.sip.bodies import SDP
from callfleet_agent.sip.call import Call, CallContext, CallInfo
from callfleet_agent.sip.call_invites import FirstInvite, send_reinvite
from callfleet_agent.sip.call_requests import CallRequests
from callfleet_agent.sip.call_states import CallState
from callfleet_agent.sip.caller import CallerId, identify, user_of
from callfleet_agent.sip.client_invite import ClientInvite
from callfleet_agent.sip.core import Core, Outgoing
from callfleet_agent.sip.dialog import Dialog
from callfleet_agent.sip.errors import LocalProtocolError, RemoteProtocolError
from callfleet_agent.sip.events import Event
from callfleet_agent.sip.fields.cseq import CSeq
from callfleet_agent.sip.fields.name_addr import NameAddr
from callfleet_agent.sip.fields.session_timer import SessionExpires
from callfleet_agent.sip.fields.token_list import format_tokens
from callfleet_agent.sip.fields.via import Via
from callfleet_agent.sip.headers import Headers, headers_of
from callfleet_agent.sip.message import Request, Response
from callfleet_agent.sip.parser import RawMessage, interpret, split_message
from callfleet_agent.sip.request_checks import first_refusal
from callfleet_agent.sip.responses import copy_fields, make_response
from callfleet_agent.sip.routing import response_peer
from callfleet_agent.sip.sdp import SessionDescription
from callfleet_agent.sip.settings import (
    ALLOWED_METHODS,
    SUPPORTED_EXTENSIONS,
    AdvertisedAddress,
    Peer,
    Randomness,
    UserAgentSettings,
    bracketed,
)
from callfleet_agent.sip.transaction import ServerTransaction
from callfleet_agent.sip.transaction_layer import TransactionLayer
from callfleet_agent.sip.uri import SipUri

_VERSION = re.compile(r"^\s*SIP\s*/\s*[0-9]+\.[0-9]+")
_NEEDED_TO_ANSWER = ("Via", "From", "To", "Call-ID", "CSeq")


class UserAgent:
    """Both sides of SIP calls. ``options_status`` answers OPTIONS outside calls; ``malformed``
    counts what could not be read, ``unanswered`` those of them that got no refusal."""

    def __init__(self, settings: UserAgentSettings, random: Randomness) -> None:
        self.options_status = 200
        self.malformed = 0
        self.unanswered = 0
        self._core = Core(settings, random)
        self._layer = TransactionLayer(self._core, self)
        self._calls: dict[tuple[str, str], CallRequests] = {}
        self._context = CallContext(self._core, self._layer, send_reinvite, self._forget)

    @property
    def settings(self) -> UserAgentSettings:
        return self._core.settings

    def advertise(self, address: AdvertisedAddress) -> None:
        """Be known under another address from now on: the bound port is known late."""
        self._core.settings = replace(self._core.settings, advertised=address)

    # What goes in

    def receive(self, data: bytes, source: Peer, *, now: float) -> None:
        """One whole message from the network. Never raises for what it says."""
        self._core.now = now
        if not data.strip(b"\r\n\0 \t"):
            return  # keep-alive (RFC 5626 section 3.5.1)
        try:
            raw = split_message(data)
        except RemoteProtocolError:
            self.malformed += 1
            self.unanswered += 1
            return
        try:
            message = interpret(raw)
        except RemoteProtocolError as error:
            self.malformed += 1
            if not self._refuse_malformed(raw, error, source):
                self.unanswered += 1
            return
        if isinstance(message, Request):
            self._layer.receive_request(message, source)
        else:
            self._layer.receive_response(message)

    def handle_timers(self, *, now: float) -> None:
        """Do what is due."""
        self._core.now = now
        self._core.timers.fire_due(now)

    def transport_failed(self, destination: Peer, *, now: float) -> None:
        """Nothing can be delivered to ``destination``: its requests fail with 503."""
        self._core.now = now
        self._layer.transport_failed(destination)

    # What comes out

    def next_timer(self) -> float | None:
        """When ``handle_timers`` is to be called."""
        return self._core.timers.next()

    def take_datagrams(self) -> list[Outgoing]:
        """What is to be sent, in order; each is returned once."""
        taken, self._core.outbox = self._core.outbox, []
        return taken

    def take_events(self) -> list[Event]:
        """What happened, in order; each is returned once."""
        taken, self._core.events = self._core.events, []
        return taken

    @property
    def calls(self) -> tuple[Call, ...]:
        """The calls that have not ended."""
        return tuple(requests.call for requests in self._calls.values())

    @property
    def idle(self) -> bool:
        """No call and no transaction is left: the process may exit."""
        return not self._calls and self._layer.idle

    # Calls of ours

    def invite(
        self,
        target: str,
        offer: SessionDescription,
        *,
        now: float,
        from_uri: str | None = None,
        display_name: str | None = None,
        headers: Iterable[tuple[str, str]] = (),
    ) -> Call:
        """Call ``target``. RemoteProtocolError when it is no SIP URI that we can reach."""
        self._core.now = now
        advertised = self.settings.advertised
        own = f"sip:{self.settings.user}@{bracketed(advertised.host)}:{advertised.port}"
        uri = SipUri.parse(target)
        tag, call_id = self._core.token(), self._core.token()
        sender = NameAddr(SipUri.parse(from_uri or own), display_name)
        info = CallInfo(
            call_id,
            user_of(uri),
            CallerId(user_of(sender.uri), trusted=True, withheld=False),
            str(sender.uri),
            str(uri.as_request_uri()),
        )
        call = Call(self._context, info, tag, CallState.CALLING)
        request = self._first_invite(uri, sender.with_tag(tag), call, offer)
        request = replace(request, headers=request.headers.with_added(*headers))
        call.note_local(offer)
        owner = FirstInvite(call, request)
        call.client_invite = ClientInvite(self._core, self._layer, request, owner)
        self._calls[call_id, tag] = CallRequests(call)
        return call

    def _first_invite(
        self,
        uri: SipUri,
        sender: NameAddr,
        call: Call,
        offer: SessionDescription,
    ) -> Request:
        target = uri.as_request_uri()
        expires = self.settings.session_expires_s
        fields = [
            ("Max-Forwards", 70),
            ("From", sender),
            ("To", NameAddr(target)),
            ("Call-ID", call.info.call_id),
            ("CSeq", CSeq(self._core.random.getrandbits(16) + 1, "INVITE")),
            ("User-Agent", self.settings.user_agent),
            ("Session-Expires", None if expires is None else SessionExpires(expires)),
            *call.own_headers(uri.transport or "UDP"),
            ("Content-Type", SDP),
        ]
        return Request(method="INVITE", uri=target, headers=headers_of(fields), body=bytes(offer))

    def adopt(self, dialog: Dialog, *, now: float) -> Call:
        """Take up a dialog that another process wrote down; ``call.reoffer`` moves its media here.

        LocalProtocolError when this user agent has the call already.
        """
        self._core.now = now
        key = (dialog.call_id, dialog.local_tag)
        if key in self._calls:
            raise LocalProtocolError("This call is here already")
        remote = NameAddr.parse(dialog.remote_uri)
        local = NameAddr.parse(dialog.local_uri)
        caller = CallerId(user_of(remote.uri), trusted=False, withheld=False)
        info = CallInfo(dialog.call_id, user_of(local.uri), caller, str(remote.uri), str(local.uri))
        call = Call(self._context, info, dialog.local_tag, CallState.ESTABLISHED, dialog)
        self._calls[key] = CallRequests(call)
        call.restore()
        return call

    def _forget(self, call: Call) -> None:
        self._calls.pop((call.info.call_id, call.local_tag), None)

    # Requests of theirs (transaction_layer.TransactionUser)

    def on_request(self, transaction: ServerTransaction) -> None:
        request = transaction.request
        if self._layer.is_merged(transaction):
            transaction.respond(make_response(request, 482, to_tag=self._core.token()))
            return
        refusal = first_refusal(request, self.settings)
        if refusal is not None:
            self._refuse(transaction, refusal.status, refusal.reason, refusal.headers)
            return
        try:
            self._dispatch(transaction)
        except RemoteProtocolError as error:
            self._refuse(transaction, error.status, error.reason)
        if request.method == "INVITE" and transaction.response is None:
            transaction.respond(make_response(request, 100))

    def on_ack(self, request: Request) -> None:
        requests = self._calls.get((request.call_id, request.to.tag or ""))
        if requests is not None:
            requests.acknowledge(request)

    def _dispatch(self, transaction: ServerTransaction) -> None:
        request = transaction.request
        if request.method == "CANCEL":
            self._cancel(transaction)
        elif request.to.tag is not None:
            self._inside(transaction)
        elif request.method == "INVITE":
            self._new_call(transaction)
        elif request.method == "OPTIONS":
            self._options(transaction)
        else:
            raise RemoteProtocolError("Call/Transaction Does Not Exist", status=481)

    def _inside(self, transaction: ServerTransaction) -> None:
        request = transaction.request
        requests = self._calls.get((request.call_id, request.to.tag or ""))
        if requests is None:
            raise RemoteProtocolError("Call/Transaction Does Not Exist", status=481)
        requests.receive(transaction)

    def _new_call(self, transaction: ServerTransaction) -> None:
        request = transaction.request
        tag = self._core.token()
        source = transaction.source
        trusted = self.settings.trusts(source.host)
        info = CallInfo(
            call_id=request.call_id,
            number=user_of(request.uri) or user_of(request.to.uri),
            caller=identify(request, trusted=trusted),
            from_uri=str(request.from_.uri),
            to_uri=str(request.to.uri),
            user_agent=request.headers.get("User-Agent"),
            traceparent=request.headers.get("Traceparent") if trusted else None,
        )
        dialog = Dialog.of_server(request, tag, source.transport)
        call = Call(self._context, info, tag, CallState.OFFERED, dialog)
        call.flow = source
        requests = CallRequests(call)
        requests.first_invite(transaction)
        self._calls[request.call_id, tag] = requests

    def _cancel(self, transaction: ServerTransaction) -> None:
        """CANCEL is always answered itself, whatever becomes of its INVITE (9.2)."""
        invite = self._layer.invite_of(transaction.request)
        if invite is None:
            raise RemoteProtocolError("Call/Transaction Does Not Exist", status=481)
        requests = self._of_invite(invite)
        tag = requests.call.local_tag if requests else self._core.token()
        transaction.respond(make_response(transaction.request, 200, to_tag=tag))
        if requests is not None:
            requests.cancel(invite)

    def _of_invite(self, invite: ServerTransaction) -> CallRequests | None:
        """The call whose INVITE this is and still waits."""
        for requests in self._calls.values():
            waiting = requests.call.server_invite
            if waiting is not None and waiting.transaction is invite:
                return requests
        return None

    def _options(self, transaction: ServerTransaction) -> None:
        headers = (
            ("Allow", format_tokens(ALLOWED_METHODS)),
            ("Accept", SDP),
            ("Supported", format_tokens(SUPPORTED_EXTENSIONS)),
        )
        self._refuse(transaction, self.options_status, None, headers)

    def _refuse(
        self,
        transaction: ServerTransaction,
        status: int,
        reason: str | None = None,
        headers: tuple[tuple[str, str], ...] = (),
    ) -> None:
        fields = [*headers, ("Server", self.settings.user_agent)]
        tag = self._core.token()
        transaction.respond(
            make_response(transaction.request, status, reason, to_tag=tag, headers=fields)
        )

    def _refuse_malformed(self, raw: RawMessage, error: RemoteProtocolError, source: Peer) -> bool:
        """Answer what could not be understood, without a transaction, where that can arrive."""
        first_word = raw.start_line.partition(" ")[0]
        missing = any(name not in raw.headers for name in _NEEDED_TO_ANSWER)
        if raw.is_response or first_word == "ACK" or missing:
            return False
        try:
            # Whatever version of SIP it speaks, its Via says where the refusal goes.
            via = Via.parse(_VERSION.sub("SIP/2.0", raw.headers.get_list("Via")[0]))
        except (RemoteProtocolError, IndexError):
            return False
        copied = {n: v for n, v in copy_fields(raw.headers) if n.lower() != "via"}
        vias = (("Via", value) for value in raw.headers.get_all("Via"))
        headers = Headers((*vias, *copied.items(), ("Server", self.settings.user_agent)))
        response = Response(status=error.status, reason=error.reason, headers=headers)
        peer = response_peer(via.seen_from(source.host, source.port), source)
        self._core.send(peer, bytes(response))
        return True
