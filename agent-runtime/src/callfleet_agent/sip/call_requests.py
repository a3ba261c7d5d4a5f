"""What the other side asks inside a call, and how its INVITEs end."""

from dataclasses import replace

from callfleet_agent.sip.bodies import description_of, dtmf_of
from callfleet_agent.sip.call import Call
from callfleet_agent.sip.call_states import CallInput, CallState, next_state
from callfleet_agent.sip.errors import RemoteProtocolError
from callfleet_agent.sip.events import (
    CallCancelled,
    DtmfInfo,
    EndCause,
    Established,
    IncomingCall,
    Reoffered,
)
from callfleet_agent.sip.fields.reason import Reason
from callfleet_agent.sip.message import Request
from callfleet_agent.sip.responses import make_response
from callfleet_agent.sip.sdp import SessionDescription
from callfleet_agent.sip.server_invite import ServerInvite
from callfleet_agent.sip.transaction import ServerTransaction

RETRY_WITHIN_S = 10  # RFC 3261 section 14.2


class CallRequests:
    """The server side of one call."""

    def __init__(self, call: Call) -> None:
        self.call = self._call = call
        self._core = call.core
        self._first = True
        self._handlers = {
            "INVITE": self._reinvite,
            "UPDATE": self._update,
            "BYE": self._bye,
            "INFO": self._info,
            "OPTIONS": self._ok,
        }

    def first_invite(self, transaction: ServerTransaction) -> None:
        """The call begins. RemoteProtocolError when its offer is malformed."""
        offer = description_of(transaction.request)
        self._call.server_invite = ServerInvite(
            self._core, transaction, self, offered=offer is not None
        )
        if offer is not None:
            self._call.note_remote(offer)
        self._core.emit(IncomingCall(self._call, offer))

    def receive(self, transaction: ServerTransaction) -> None:
        """A request inside the dialog. RemoteProtocolError says how it is refused."""
        request, dialog = transaction.request, self._call.dialog
        if dialog is None or not dialog.is_of(request):
            raise RemoteProtocolError("Call/Transaction Does Not Exist", status=481)
        if dialog.remote_cseq is not None and request.cseq.number <= dialog.remote_cseq:
            raise RemoteProtocolError("CSeq out of order", status=500)
        self._call.dialog = replace(dialog, remote_cseq=request.cseq.number)
        self._call.flow = transaction.source
        self._handlers[request.method](transaction)

    def acknowledge(self, ack: Request) -> None:
        invite = self._call.server_invite
        if invite is not None and invite.request.cseq.number == ack.cseq.number:
            invite.acknowledged(ack)

    def cancel(self, invite: ServerTransaction) -> None:
        """A CANCEL found this INVITE; an answered one is left alone (9.2)."""
        if invite.answered:
            return
        self._refuse(invite, 487)
        if self._call.state is CallState.OFFERED:
            self._call.close(CallInput.OVER)
            self._core.emit(CallCancelled(self._call))

    def _reinvite(self, transaction: ServerTransaction) -> None:
        call, invite = self._call, self._call.server_invite
        if invite is not None and invite.pending:
            self._refuse_for_now(transaction)
        elif call.state is not CallState.ESTABLISHED or call.busy:
            self._refuse(transaction, 491)
        else:
            offer = description_of(transaction.request)
            call.server_invite = ServerInvite(
                self._core, transaction, self, offered=offer is not None
            )
            self._ask_owner(offer)

    def _update(self, transaction: ServerTransaction) -> None:
        """UPDATE (RFC 3311): a refresh of target and session, and an offer if it has one."""
        call = self._call
        offer = description_of(transaction.request)
        if offer is None:
            call.answer_update(transaction)
        elif call.update is not None:
            self._refuse_for_now(transaction)
        elif call.state is not CallState.ESTABLISHED or call.busy:
            self._refuse(transaction, 491)
        else:
            call.update = transaction
            self._ask_owner(offer)

    def _ask_owner(self, offer: SessionDescription | None) -> None:
        """An offer that says nothing new is answered with what we said last (RFC 3264, 8)."""
        call, dialog = self._call, self._call.known_dialog
        known = dialog.remote_sdp
        last = SessionDescription.parse(known) if known is not None else None
        repeated = offer is not None and last is not None and last.origin == offer.origin
        if repeated and dialog.local_sdp is not None:
            call.answer(SessionDescription.parse(dialog.local_sdp), now=self._core.now)
            return
        if offer is not None:
            call.note_remote(offer)
        self._core.emit(Reoffered(call, offer))

    def _bye(self, transaction: ServerTransaction) -> None:
        call = self._call
        self._ok(transaction)
        if call.state is CallState.OFFERED:
            call.close(CallInput.OVER)
            self._core.emit(CallCancelled(call))
        elif call.state is CallState.ENDING:
            call.end(EndCause.LOCAL, 200, call.ending_reason)
        else:
            call.end(EndCause.REMOTE, reason=_reason_of(transaction.request))

    def _info(self, transaction: ServerTransaction) -> None:
        dtmf = dtmf_of(transaction.request)
        self._ok(transaction)
        if dtmf is not None:
            self._core.emit(DtmfInfo(self._call, *dtmf))

    def _ok(self, transaction: ServerTransaction) -> None:
        transaction.respond(make_response(transaction.request, 200))

    def _refuse(self, transaction: ServerTransaction, status: int) -> None:
        tag = self._call.local_tag
        transaction.respond(make_response(transaction.request, status, to_tag=tag))

    def _refuse_for_now(self, transaction: ServerTransaction) -> None:
        seconds = round(self._core.random.uniform(0, RETRY_WITHIN_S))
        headers = [("Retry-After", str(seconds))]
        transaction.respond(make_response(transaction.request, 500, headers=headers))

    # server_invite.InviteServer

    def invite_acknowledged(self, ack: Request, offer_was_ours: bool) -> None:
        """The ACK of our 200, with the answer when the offer was in it."""
        call = self._call
        call.state = next_state(call.state, CallInput.ACKNOWLEDGED)
        first, self._first = self._first, False
        if call.state is CallState.ENDING:
            call.send_bye()
            return
        try:
            answer = _answer_of(ack) if offer_was_ours else None
        except RemoteProtocolError as error:
            call.hang_up(now=self._core.now, reason=error.reason)
            return
        if answer is not None:
            call.note_remote(answer)
        self._core.emit(Established(call, answer, first))

    def invite_never_acknowledged(self) -> None:
        """No ACK in 64*T1: the dialog is ended (13.3.1.4)."""
        call = self._call
        if call.state is CallState.ENDING:
            call.send_bye()
            return
        call.send_unheard_bye()
        call.end(EndCause.NO_ACK)


def _answer_of(ack: Request) -> SessionDescription:
    answer = description_of(ack)
    if answer is None:
        raise RemoteProtocolError("Missing answer in ACK")
    return answer


def _reason_of(request: Request) -> str | None:
    """The text of the first Reason of a BYE, if it can be read."""
    try:
        values = request.headers.get_list("Reason")
        return Reason.parse(values[0]).text if values else None
    except RemoteProtocolError:
        return None
