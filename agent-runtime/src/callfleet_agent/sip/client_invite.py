"""An INVITE of ours from its start to its final response (RFC 3261 sections 13.2 and 9.1)."""

from collections.abc import Callable
from typing import Protocol

from callfleet_agent.sip.core import Core
from callfleet_agent.sip.fields.cseq import CSeq
from callfleet_agent.sip.headers import headers_of
from callfleet_agent.sip.message import Request, Response
from callfleet_agent.sip.settings import Peer
from callfleet_agent.sip.timers import Timer
from callfleet_agent.sip.transaction_layer import Handlers, TransactionLayer


class InviteClient(Protocol):
    """Who is told how it goes. ``invite_accepted`` returns what sends the ACK (again)."""

    def invite_ringing(self, response: Response) -> None: ...

    def invite_accepted(self, response: Response, peer: Peer) -> Callable[[], None]: ...

    def invite_forked(self, response: Response) -> Callable[[], None]: ...

    def invite_failed(self, status: int, response: Response | None) -> None: ...


class ClientInvite:
    """Passes each outcome on once, acknowledges every success again when it comes again."""

    def __init__(
        self,
        core: Core,
        layer: TransactionLayer,
        request: Request,
        owner: InviteClient,
        flow: Peer | None = None,
    ) -> None:
        self._core = core
        self._layer = layer
        self._owner = owner
        self._provisional = False
        self._cancelled = False
        self._limit: Timer | None = None
        self._acks: dict[str, Callable[[], None]] = {}
        self.request = request
        self.failed = False
        handlers = Handlers(self._on_response, self._fail)
        self._transaction = layer.request(request, handlers, flow)

    @property
    def pending(self) -> bool:
        """Is there no final response yet?"""
        return not self.failed and not self._acks

    def cancel(self) -> None:
        """Give up: CANCEL goes out as soon as a provisional response allows it."""
        self._cancelled = True
        if self._provisional:
            self._send_cancel()

    def _send_cancel(self) -> None:
        if self._limit is not None:
            return
        sent = self._transaction.request
        headers = headers_of(
            [
                *(("Route", value) for value in sent.headers.get_all("Route")),
                ("Max-Forwards", 70),
                ("From", sent.required("From")),
                ("To", sent.required("To")),
                ("Call-ID", sent.call_id),
                ("CSeq", CSeq(sent.cseq.number, "CANCEL")),
            ],
        )
        cancel = Request(method="CANCEL", uri=sent.uri, headers=headers)
        self._layer.request_like(cancel, Handlers(_ignore, _ignore), self._transaction)
        self._limit = self._core.after(64 * self._core.settings.t1_s, self._give_up)

    def _give_up(self) -> None:
        """No final response in 64*T1 after CANCEL: the INVITE counts as cancelled (9.1)."""
        if self.pending:
            self._transaction.abandon()
            self._fail(487)

    def _on_response(self, response: Response) -> None:
        if response.is_provisional:
            self._on_provisional(response)
        elif response.is_success:
            self._on_success(response)
        else:
            self._fail(response.status, response)

    def _on_provisional(self, response: Response) -> None:
        self._provisional = True
        if self._cancelled:
            self._send_cancel()
        elif response.status > 100:
            self._owner.invite_ringing(response)

    def _on_success(self, response: Response) -> None:
        tag = response.to.tag or ""
        if tag in self._acks:
            self._acks[tag]()
        elif self._acks:
            self._acks[tag] = self._owner.invite_forked(response)
        else:
            self._acks[tag] = _ignore
            self._acks[tag] = self._owner.invite_accepted(response, self._transaction.peer)

    def _fail(self, status: int, response: Response | None = None) -> None:
        self.failed = True
        self._owner.invite_failed(status, response)


def _ignore(*_: object) -> None:
    return
