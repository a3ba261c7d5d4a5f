"""Client and server transactions: the tables of ``transaction_tables`` brought to life."""

from collections.abc import Callable
from dataclasses import replace

from callfleet_agent.sip.core import Core
from callfleet_agent.sip.fields.cseq import CSeq
from callfleet_agent.sip.headers import Headers
from callfleet_agent.sip.message import Request, Response
from callfleet_agent.sip.routing import response_peer
from callfleet_agent.sip.settings import Peer
from callfleet_agent.sip.timers import Timer
from callfleet_agent.sip.transaction_tables import (
    CLIENT,
    INVITE_CLIENT,
    INVITE_SERVER,
    SERVER,
    Action,
    Input,
    State,
    Table,
)

COMPLETED_LINGER_S = 32.0  # timer D: at least 32 s
_NONE_YET = Response(status=100, reason="Trying")


class Transaction:
    """Runs one table; subclasses say what sending and passing mean."""

    def __init__(self, core: Core, table: Table, state: State, peer: Peer) -> None:
        self.core = core
        self.state = state
        self.peer = peer
        self.on_terminated: Callable[[], None] = lambda: None
        self._table = table
        self._interval = 0.0
        self._retransmission: Timer | None = None
        self._limit: Timer | None = None
        settings = core.settings
        self._t1, self._t2, self._t4 = settings.t1_s, settings.t2_s, settings.t4_s
        self._actions: dict[Action, Callable[[], None]] = {
            Action.SEND: self._send,
            Action.START_FAST: self._start_retransmission,
            Action.START_SLOW: self._start_retransmission,
            Action.DOUBLE: self._double,
            Action.AT_T2: self._at_t2,
            Action.START_LIMIT: self._start_limit,
            Action.STOP: self._stop,
            Action.LINGER_32: lambda: self._linger_for(max(COMPLETED_LINGER_S, 64 * self._t1)),
            Action.LINGER_T4: lambda: self._linger_for(self._t4),
            Action.LINGER_64T1: self._linger_always,
        }

    @property
    def reliable(self) -> bool:
        return self.peer.transport != "UDP"

    @property
    def terminated(self) -> bool:
        return self.state is State.TERMINATED

    def feed(self, given: Input) -> None:
        """One step; what the table does not know in this state is ignored."""
        step = self._table.get((self.state, given))
        if step is None:
            return
        self.state, actions = step
        for action in actions:
            self._actions[action]()
        if self.terminated:
            self.on_terminated()

    def abandon(self) -> None:
        """End at once, without a word, while no final response has come."""
        self._stop()
        self.state = State.TERMINATED
        self.on_terminated()

    def _send(self) -> None:
        raise NotImplementedError

    def _start_retransmission(self) -> None:
        self._interval = self._t1
        self._retransmit_later()

    def _double(self) -> None:
        self._interval = self._longest(self._interval * 2)
        self._retransmit_later()

    def _longest(self, interval: float) -> float:
        """Timer A doubles without limit, E and G stop at T2."""
        return interval if self._table is INVITE_CLIENT else min(interval, self._t2)

    def _at_t2(self) -> None:
        self._interval = self._t2
        self._retransmit_later()

    def _retransmit_later(self) -> None:
        if self._retransmission is not None:
            self._retransmission.cancel()
        if not self.reliable:
            self._retransmission = self.core.after(
                self._interval, lambda: self.feed(Input.RETRANSMIT)
            )

    def _start_limit(self) -> None:
        self._limit = self.core.after(64 * self._t1, lambda: self.feed(Input.GIVE_UP))

    def _stop(self) -> None:
        for timer in (self._retransmission, self._limit):
            if timer is not None:
                timer.cancel()

    def _linger_for(self, seconds: float) -> None:
        self.core.after(0.0 if self.reliable else seconds, lambda: self.feed(Input.LINGERED))

    def _linger_always(self) -> None:
        self.core.after(64 * self._t1, lambda: self.feed(Input.LINGERED))


class ClientTransaction(Transaction):
    """A request of ours until its final response.

    ``on_response`` gets every response that is news; ``on_failure`` gets 408 when none came and 503
    when the request could not be sent. ``fallback`` is tried once when ``peer`` is unreachable.
    """

    def __init__(
        self,
        core: Core,
        request: Request,
        peer: Peer,
        *,
        on_response: Callable[[Response], None],
        on_failure: Callable[[int], None],
        fallback: Peer | None = None,
    ) -> None:
        invite = request.method == "INVITE"
        state = State.CALLING if invite else State.TRYING
        super().__init__(core, INVITE_CLIENT if invite else CLIENT, state, peer)
        self.request = request
        self._on_response = on_response
        self._on_failure = on_failure
        self._fallback = fallback
        self._response = _NONE_YET
        self._actions |= {
            Action.SEND_ACK: self._send_ack,
            Action.PASS: self._pass,
            Action.TIMED_OUT: lambda: self._on_failure(408),
            Action.FAILED: lambda: self._on_failure(503),
        }

    def start(self) -> None:
        self.feed(Input.START)

    def receive(self, response: Response) -> None:
        self._response = response
        if response.is_provisional:
            self.feed(Input.PROVISIONAL)
        else:
            self.feed(Input.SUCCESS if response.is_success else Input.FAILURE)

    def unreachable(self) -> None:
        """The transport could not deliver to ``peer``."""
        if self._fallback is None or self.state not in (State.CALLING, State.TRYING):
            self.feed(Input.UNREACHABLE)
            return
        self._stop()
        self.peer, self._fallback = self._fallback, None
        via = replace(self.request.via, transport=self.peer.transport)
        self.request = self.request.with_headers(self.request.headers.with_first("Via", str(via)))
        self.start()

    def _send(self) -> None:
        self.core.send(self.peer, bytes(self.request))

    def _pass(self) -> None:
        self._on_response(self._response)

    def _send_ack(self) -> None:
        self.core.send(self.peer, bytes(_ack_of(self.request, self._response)))


def _ack_of(request: Request, response: Response) -> Request:
    """The ACK for a final response that is no success (RFC 3261 section 17.1.1.3)."""
    headers = Headers(
        (
            ("Via", str(request.via)),
            *(("Route", value) for value in request.headers.get_all("Route")),
            ("Max-Forwards", "70"),
            ("From", request.required("From")),
            ("To", response.required("To")),
            ("Call-ID", request.call_id),
            ("CSeq", str(CSeq(request.cseq.number, "ACK"))),
        ),
    )
    return Request(method="ACK", uri=request.uri, headers=headers)


class ServerTransaction(Transaction):
    """A request of theirs until our final response has arrived, as far as that can be known."""

    def __init__(self, core: Core, request: Request, source: Peer) -> None:
        invite = request.method == "INVITE"
        state = State.PROCEEDING if invite else State.TRYING
        peer = response_peer(request.via, source)
        super().__init__(core, INVITE_SERVER if invite else SERVER, state, peer)
        self.request = request
        self.source = source
        self.response: Response | None = None
        self._data = b""

    @property
    def answered(self) -> bool:
        """Has a final response been sent?"""
        return self.response is not None and not self.response.is_provisional

    def respond(self, response: Response) -> None:
        """Send ``response``; a success may be sent again (RFC 6026)."""
        self.response = response
        self._data = bytes(response)
        if response.is_provisional:
            self.feed(Input.PROVISIONAL)
        else:
            self.feed(Input.SUCCESS if response.is_success else Input.FAILURE)

    def repeated(self) -> None:
        """The request came again."""
        self.feed(Input.REQUEST)

    def acknowledged(self) -> None:
        self.feed(Input.ACK)

    def _send(self) -> None:
        self.core.send(self.peer, self._data)
