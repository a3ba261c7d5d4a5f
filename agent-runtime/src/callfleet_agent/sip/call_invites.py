"""How our INVITEs go: the first of a call, and re-INVITEs."""

from collections.abc import Callable
from dataclasses import replace

from callfleet_agent.sip.bodies import SDP, description_of
from callfleet_agent.sip.call import Call
from callfleet_agent.sip.call_states import CallInput, CallState, next_state
from callfleet_agent.sip.client_invite import ClientInvite
from callfleet_agent.sip.dialog import Dialog
from callfleet_agent.sip.errors import RemoteProtocolError
from callfleet_agent.sip.events import (
    Answered,
    Failed,
    Reanswered,
    ReofferFailed,
    Ringing,
)
from callfleet_agent.sip.message import Request, Response
from callfleet_agent.sip.responses import phrase
from callfleet_agent.sip.sdp import SessionDescription
from callfleet_agent.sip.settings import Peer

MOST_GLARES = 5


def _acknowledge(call: Call, dialog: Dialog, cseq: int) -> Callable[[], None]:
    """Send the ACK of a success along its dialog's route set; the result sends it again."""
    _, ack = dialog.request("ACK", cseq)
    return call.context.layer.send(ack, call.flow)


class FirstInvite:
    """The INVITE that makes the call."""

    def __init__(self, call: Call, request: Request) -> None:
        self._call = call
        self._core = call.core
        self._request = request
        self._early: SessionDescription | None = None

    def invite_ringing(self, response: Response) -> None:
        try:
            self._early = description_of(response) or self._early
        except RemoteProtocolError:
            return  # early media that cannot be understood is not heard
        self._core.emit(Ringing(self._call, response.status, self._early))

    def invite_accepted(self, response: Response, peer: Peer) -> Callable[[], None]:
        call = self._call
        cancelled = call.state is CallState.CANCELLING
        call.flow = peer
        call.dialog = self._dialog(response, peer)
        call.state = next_state(call.state, CallInput.ACCEPTED)
        again = _acknowledge(call, call.dialog, self._request.cseq.number)
        problem, answer = self._read(response)
        if cancelled:
            self._give_up(487, phrase(487))
        elif answer is None:
            self._give_up(488, problem)
        else:
            call.note_remote(answer)
            call.session.agreed_in(response)
            self._core.emit(Answered(call, answer))
        return again

    def _dialog(self, response: Response, peer: Peer) -> Dialog:
        dialog = Dialog.of_client(self._request, response, peer.transport)
        offer = SessionDescription.parse(self._request.body)
        return replace(
            dialog,
            local_sdp=str(offer),
            session_id=offer.origin.session_id,
            sdp_version=offer.origin.version,
        )

    def _read(self, response: Response) -> tuple[str, SessionDescription | None]:
        """The answer, which an early one stands in for; or what is wrong with it."""
        try:
            return "Missing answer", description_of(response) or self._early
        except RemoteProtocolError as error:
            return error.reason, None

    def _give_up(self, status: int, reason: str) -> None:
        """Answered, but not wanted: BYE at once."""
        self._call.send_unheard_bye()
        self._call.close(CallInput.OVER)
        self._core.emit(Failed(self._call, status, reason))

    def invite_forked(self, response: Response) -> Callable[[], None]:
        """A second phone answered as well: acknowledged, and hung up (13.2.2.4)."""
        dialog = Dialog.of_client(self._request, response, "UDP")
        again = _acknowledge(self._call, dialog, self._request.cseq.number)
        _, bye = dialog.request("BYE")
        self._call.send_aside(bye)
        return again

    def invite_failed(self, status: int, response: Response | None) -> None:
        self._call.close(CallInput.OVER)
        reason = phrase(status) if response is None else response.reason
        retry_after = None if response is None else response.retry_after
        answered = response is not None
        self._core.emit(Failed(self._call, status, reason, retry_after, answered=answered))


class Reinvite:
    """An INVITE inside the dialog."""

    def __init__(self, call: Call, description: SessionDescription, glares: int = 0) -> None:
        self._call = call
        self._core = call.core
        self._description = description
        self._glares = glares

    def invite_ringing(self, response: Response) -> None:
        """Nothing rings inside a call."""

    def invite_accepted(self, response: Response, peer: Peer) -> Callable[[], None]:
        call = self._call
        call.flow = peer
        call.known_dialog = call.known_dialog.refreshed_by(response)
        again = _acknowledge(call, call.known_dialog, response.cseq.number)
        if call.state is CallState.ESTABLISHED:
            self._use(response)
        return again

    def _use(self, response: Response) -> None:
        call = self._call
        try:
            answer = description_of(response)
        except RemoteProtocolError as error:
            call.hang_up(now=self._core.now, reason=error.reason)
            return
        call.session.agreed_in(response)
        if answer is not None:
            call.note_remote(answer)
        self._core.emit(Reanswered(call, answer))

    def invite_forked(self, response: Response) -> Callable[[], None]:
        """Inside a dialog nothing forks; a stray tag is acknowledged like the answer."""
        return _acknowledge(self._call, self._call.known_dialog, response.cseq.number)

    def invite_failed(self, status: int, response: Response | None) -> None:
        call = self._call
        if call.state is not CallState.ESTABLISHED:
            return
        if status == 491 and self._glares < MOST_GLARES:
            self._try_later()
            return
        reason = phrase(status) if response is None else response.reason
        self._core.emit(ReofferFailed(call, status, reason))
        if status in (408, 481) or response is None:
            call.lost(status)

    def _try_later(self) -> None:
        """Both offered at once: the caller waits longer (14.1)."""
        low, high = (2.1, 4.0) if self._call.known_dialog.initiator else (0.0, 2.0)
        wait = round(self._core.random.uniform(low, high), 2)
        self._call.retry = self._core.after(wait, self._again)

    def _again(self) -> None:
        self._call.retry = None
        send_reinvite(self._call, self._description, self._glares + 1)


def send_reinvite(call: Call, description: SessionDescription, glares: int = 0) -> None:
    """Offer ``description`` inside the dialog; ``glares``: how often 491 came before."""
    call.note_local(description)
    headers = [
        *call.own_headers(call.known_dialog.transport),
        *call.session.headers(),
        ("Content-Type", SDP),
    ]
    request = call.in_dialog("INVITE", headers, bytes(description))
    owner = Reinvite(call, description, glares)
    call.client_invite = ClientInvite(call.core, call.context.layer, request, owner, call.flow)
