"""One call: the commands of its owner, and its own state.

What arrives is handled beside this file: ``call_requests`` (theirs inside the dialog) and
``call_invites`` (how our INVITEs go). All three share this object, which the owner holds.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from callfleet_agent.sip.bodies import DTMF_RELAY, SDP, dtmf_body
from callfleet_agent.sip.call_refresh import CallRefresh
from callfleet_agent.sip.call_states import CallInput, CallState, next_state
from callfleet_agent.sip.caller import CallerId
from callfleet_agent.sip.client_invite import ClientInvite
from callfleet_agent.sip.core import Core
from callfleet_agent.sip.dialog import Dialog
from callfleet_agent.sip.errors import LocalProtocolError
from callfleet_agent.sip.events import CallEnded, EndCause
from callfleet_agent.sip.fields.reason import Reason
from callfleet_agent.sip.fields.token_list import format_tokens
from callfleet_agent.sip.fields.warning import Warning as WarningField
from callfleet_agent.sip.message import Request, Response
from callfleet_agent.sip.responses import make_response
from callfleet_agent.sip.sdp import Origin, SessionDescription
from callfleet_agent.sip.server_invite import ServerInvite
from callfleet_agent.sip.settings import ALLOWED_METHODS, SUPPORTED_EXTENSIONS, Peer, bracketed
from callfleet_agent.sip.timers import Timer
from callfleet_agent.sip.transaction import ServerTransaction
from callfleet_agent.sip.transaction_layer import Handlers, TransactionLayer

__all__ = ["Call", "CallContext", "CallInfo", "CallState"]

Field = tuple[str, str]

OVERTAKEN_T1 = 2  # a BYE that was lost once comes again after T1


@dataclass(frozen=True, slots=True)
class CallInfo:
    """What the first INVITE says of a call. ``number`` is what was dialled; ``traceparent`` is what
    somebody says whom we believe."""

    call_id: str
    number: str | None
    caller: CallerId
    from_uri: str
    to_uri: str
    user_agent: str | None = None
    traceparent: str | None = None

    def __repr__(self) -> str:
        """Numbers have no place in a log."""
        return f"CallInfo(caller={self.caller!r})"


@dataclass(frozen=True, slots=True)
class CallContext:
    """What a call needs of its user agent: ``reinvite`` sends one, ``forget`` ends its care."""

    core: Core
    layer: TransactionLayer
    reinvite: Callable[["Call", SessionDescription], None]
    forget: Callable[["Call"], None]


class Call:
    """A call in either direction. Commands raise LocalProtocolError in the wrong state."""

    def __init__(
        self,
        context: CallContext,
        info: CallInfo,
        local_tag: str,
        state: CallState,
        dialog: Dialog | None = None,
    ) -> None:
        self.info = info
        self.local_tag = local_tag
        self.fixed_headers: tuple[Field, ...] = ()  # of every answer that has our Contact
        self.state = state
        self.context = context
        self.core = context.core
        self.dialog = dialog
        self.flow: Peer | None = None
        self.server_invite: ServerInvite | None = None
        self.client_invite: ClientInvite | None = None
        self.update: ServerTransaction | None = None
        self.retry: Timer | None = None
        self._overtaken: Timer | None = None
        self.session = CallRefresh(self)
        self._session_id = self.core.random.getrandbits(31)
        self._hang_up_reason: str | None = None
        self._sdp_version = -1

    def __repr__(self) -> str:
        return f"<Call {self.state.name}>"

    # Commands of the owner

    def ring(self, *, now: float) -> None:
        """180 Ringing. Proxies may deliver it after a 200 that follows at once: better none."""
        self.core.now = now
        if self.state is not CallState.OFFERED:
            raise LocalProtocolError("There is nothing to ring for")
        self._respond(180)

    def answer(self, description: SessionDescription, *, now: float) -> None:
        """200 to the INVITE, re-INVITE or UPDATE that waits; our offer when it brought none."""
        self.core.now = now
        request = self._asking[0].request
        if self.state is CallState.OFFERED:
            self.state = next_state(self.state, CallInput.ANSWER)
        self.note_local(description)
        self.known_dialog = self.known_dialog.refreshed_by(request)
        headers = [*self.session.headers_for(request), ("Content-Type", SDP)]
        self._respond(200, headers=headers, body=bytes(description))

    def reject(
        self,
        status: int,
        reason: str | None = None,
        *,
        now: float,
        retry_after: int | None = None,
        warning: tuple[int, str] | None = None,
    ) -> None:
        """Refuse the INVITE, re-INVITE or UPDATE that waits, with 300 to 699."""
        self.core.now = now
        if not 300 <= status <= 699:
            raise LocalProtocolError("No status of a refusal")
        _ = self._asking
        headers: list[Field] = []
        if retry_after is not None:
            headers.append(("Retry-After", str(retry_after)))
        if warning is not None:
            agent = str(self.core.settings.advertised)
            headers.append(("Warning", str(WarningField(warning[0], agent, warning[1]))))
        self._respond(status, reason, headers=headers)
        if self.state is CallState.OFFERED:
            self.close(CallInput.REJECT)

    def hang_up(self, *, now: float, reason: str | None = None) -> None:
        """End the call whatever its state: BYE, CANCEL or 480; does nothing when it is over."""
        self.core.now = now
        if self.state is CallState.OFFERED:
            self.reject(480, now=now)
        elif self.state in (CallState.CALLING, CallState.CANCELLING):
            self.cancel(now=now)
        elif self.state in (CallState.ANSWERED, CallState.ESTABLISHED):
            may_send = self.state is CallState.ESTABLISHED
            self.state = next_state(self.state, CallInput.HANG_UP)
            self._hang_up_reason = reason
            if may_send:
                self.send_bye()

    def cancel(self, *, now: float) -> None:
        """Give up a call of ours before it is answered; Failed(487) follows."""
        self.core.now = now
        self.state = next_state(self.state, CallInput.CANCEL)
        if self.state is CallState.CANCELLING and self.client_invite is not None:
            self.client_invite.cancel()

    def reoffer(self, description: SessionDescription, *, now: float) -> None:
        """Send a re-INVITE; Reanswered or ReofferFailed follows."""
        self.core.now = now
        if self.state is not CallState.ESTABLISHED or self.busy:
            raise LocalProtocolError("No re-INVITE is possible now")
        self.context.reinvite(self, description)

    def send_dtmf_info(self, digit: str, duration_ms: int, *, now: float) -> None:
        """Tell a key by INFO (application/dtmf-relay)."""
        self.core.now = now
        if self.state is not CallState.ESTABLISHED:
            raise LocalProtocolError("No INFO is possible now")
        body = dtmf_body(digit, duration_ms)
        self.send_in_dialog("INFO", headers=[("Content-Type", DTMF_RELAY)], body=body)

    def origin(self, address: str) -> Origin:
        """``o=`` of the next description we send in this call."""
        return Origin(address, self._session_id, self._sdp_version + 1)

    # State that the parts of a call share

    @property
    def known_dialog(self) -> Dialog:
        if self.dialog is None:
            raise LocalProtocolError("This call has no dialog yet")
        return self.dialog

    @known_dialog.setter
    def known_dialog(self, dialog: Dialog) -> None:
        self.dialog = dialog

    @property
    def busy(self) -> bool:
        """Is an offer without answer under way in either direction?"""
        return (
            self.update is not None
            or self.retry is not None
            or (self.client_invite is not None and self.client_invite.pending)
            or (
                self.server_invite is not None
                and (self.server_invite.pending or self.server_invite.unacknowledged)
            )
        )

    @property
    def _asking(self) -> tuple[ServerTransaction, Callable[[Response], None]]:
        """The request that waits for the owner's answer, and what takes the answer."""
        if self.update is not None:
            return self.update, self.update.respond
        if self.server_invite is None or not self.server_invite.pending:
            raise LocalProtocolError("There is nothing to answer")
        return self.server_invite.transaction, self.server_invite.respond

    def note_local(self, description: SessionDescription) -> None:
        self._session_id = description.origin.session_id
        self._sdp_version = description.origin.version
        if self.dialog is not None:
            self.dialog = replace(
                self.dialog,
                local_sdp=str(description),
                session_id=self._session_id,
                sdp_version=self._sdp_version,
            )

    def note_remote(self, description: SessionDescription) -> None:
        self.known_dialog = replace(self.known_dialog, remote_sdp=str(description))

    def restore(self) -> None:
        """Go on where the dialog's former owner stopped."""
        dialog = self.known_dialog
        self._session_id, self._sdp_version = dialog.session_id, dialog.sdp_version
        self.session.restore()

    def own_headers(self, transport: str) -> tuple[Field, ...]:
        """Contact and what we can do."""
        settings = self.core.settings
        address = f"{bracketed(settings.advertised.host)}:{settings.advertised.port}"
        parameter = "" if transport == "UDP" else f";transport={transport.lower()}"
        return (
            ("Contact", f"<sip:{settings.user}@{address}{parameter}>"),
            ("Allow", format_tokens(ALLOWED_METHODS)),
            ("Supported", format_tokens(SUPPORTED_EXTENSIONS)),
            *self.fixed_headers,
        )

    def _respond(
        self,
        status: int,
        reason: str | None = None,
        *,
        headers: list[Field] | None = None,
        body: bytes = b"",
    ) -> None:
        """Answer what waits; a dialog-making response has Contact and repeats Record-Route."""
        transaction, respond = self._asking
        request = transaction.request
        fields: list[Field] = []
        if status < 300:
            routes = request.headers.get_all("Record-Route")
            fields += [("Record-Route", route) for route in routes]
            fields += self.own_headers(transaction.peer.transport)
        fields += [("Server", self.core.settings.user_agent), *(headers or [])]
        response = make_response(
            request, status, reason, to_tag=self.local_tag, headers=fields, body=body
        )
        self.update = None
        respond(response)

    # Requests of ours inside the dialog

    def send_in_dialog(
        self,
        method: str,
        handlers: Handlers | None = None,
        *,
        headers: list[Field] | None = None,
        body: bytes = b"",
    ) -> None:
        request = self.in_dialog(method, headers or [], body)
        self.context.layer.request(request, handlers or _UNHEARD, self.flow)

    def in_dialog(self, method: str, headers: list[Field], body: bytes = b"") -> Request:
        """The next request of the dialog."""
        self.known_dialog, request = self.known_dialog.request(method)
        fields = [("User-Agent", self.core.settings.user_agent), *headers]
        return replace(request, headers=request.headers.with_added(*fields), body=body)

    def send_aside(self, request: Request) -> None:
        """A request whose answer concerns nobody."""
        self.context.layer.request(request, _UNHEARD, self.flow)

    def answer_update(self, transaction: ServerTransaction) -> None:
        """200 to an UPDATE without offer: a refresh of target and session (RFC 3311)."""
        request = transaction.request
        self.known_dialog = self.known_dialog.refreshed_by(request)
        headers = [
            *self.own_headers(transaction.peer.transport),
            *self.session.headers_for(request),
        ]
        transaction.respond(make_response(request, 200, headers=headers))

    # The end

    def lost(self, status: int) -> None:
        """The other side is gone or knows nothing of the dialog."""
        if self.state is CallState.ESTABLISHED:
            self.send_unheard_bye()
            self.end(EndCause.TRANSPORT, status)

    def send_bye(self) -> None:
        """BYE; its final response, or none, is the end."""
        self._stop()
        reason = self._hang_up_reason
        fields = [] if reason is None else [("Reason", str(Reason("SIP", 200, reason)))]
        self.send_in_dialog(
            "BYE", Handlers(self._bye_answered, self._bye_unanswered), headers=fields
        )

    def send_unheard_bye(self) -> None:
        """BYE for a dialog that is given up whatever the answer."""
        self.send_in_dialog("BYE")

    def _bye_answered(self, response: Response) -> None:
        """The end; but a 481 may have overtaken a BYE of theirs that crossed ours."""
        if response.status == 481 and self.state is CallState.ENDING:
            wait = OVERTAKEN_T1 * self.core.settings.t1_s
            self._overtaken = self.core.after(wait, lambda: self._bye_done(481))
        elif not response.is_provisional:
            self._bye_done(response.status)

    def _bye_unanswered(self, status: int) -> None:
        self._bye_done(status, answered=False)

    def _bye_done(self, status: int, *, answered: bool = True) -> None:
        self.end(EndCause.LOCAL, status, self._hang_up_reason, answered=answered)

    @property
    def ending_reason(self) -> str | None:
        return self._hang_up_reason

    def end(
        self,
        cause: EndCause,
        status: int | None = None,
        reason: str | None = None,
        *,
        answered: bool = True,
    ) -> None:
        """An answered call is over."""
        if self.state is not CallState.ENDED:
            self.close(CallInput.OVER)
            self.core.emit(CallEnded(self, cause, status, reason, answered=answered))

    def close(self, given: CallInput) -> None:
        """Forget the call; what its transactions still have to do they do without it."""
        self.state = next_state(self.state, given)
        self._stop()
        if self.server_invite is not None:
            self.server_invite.stop()
        self.context.forget(self)

    def _stop(self) -> None:
        """Nothing more happens by itself; what still waits for an answer is refused."""
        if self.update is not None or (self.server_invite and self.server_invite.pending):
            self._respond(487)
        self.session.stop()
        for timer in (self.retry, self._overtaken):
            if timer is not None:
                timer.cancel()
        self.retry = self._overtaken = None


def _unheard(*_: object) -> None:
    return


_UNHEARD = Handlers(_unheard, _unheard)
