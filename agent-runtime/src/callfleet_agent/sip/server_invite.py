"""An INVITE of theirs from its arrival to its ACK (RFC 3261 section 13.3)."""

from typing import Protocol

from callfleet_agent.sip.core import Core
from callfleet_agent.sip.message import Request, Response
from callfleet_agent.sip.timers import Timer
from callfleet_agent.sip.transaction import ServerTransaction


class InviteServer(Protocol):
    """Who is told how it ends."""

    def invite_acknowledged(self, ack: Request, offer_was_ours: bool) -> None: ...

    def invite_never_acknowledged(self) -> None: ...


class ServerInvite:
    """Repeats the success until its ACK comes, over every transport (13.3.1.4)."""

    def __init__(
        self,
        core: Core,
        transaction: ServerTransaction,
        owner: InviteServer,
        *,
        offered: bool,
    ) -> None:
        self._core = core
        self._owner = owner
        self._interval = core.settings.t1_s
        self._retransmission: Timer | None = None
        self._limit: Timer | None = None
        self._data = b""
        self.transaction = transaction
        self.request = transaction.request
        self.offered = offered

    @property
    def pending(self) -> bool:
        """Is the final response still to be sent?"""
        return not self.transaction.answered

    @property
    def unacknowledged(self) -> bool:
        return self._limit is not None and self._limit.pending

    def respond(self, response: Response) -> None:
        self.transaction.respond(response)
        self._data = bytes(response)
        if response.is_success:
            self._limit = self._core.after(64 * self._core.settings.t1_s, self._give_up)
            self._repeat_later()

    def acknowledged(self, ack: Request) -> None:
        """The ACK for our success; a second one means nothing."""
        if self.unacknowledged:
            self.stop()
            self._owner.invite_acknowledged(ack, not self.offered)

    def stop(self) -> None:
        for timer in (self._retransmission, self._limit):
            if timer is not None:
                timer.cancel()

    def _repeat_later(self) -> None:
        self._retransmission = self._core.after(self._interval, self._repeat)
        self._interval = min(self._interval * 2, self._core.settings.t2_s)

    def _repeat(self) -> None:
        self._core.send(self.transaction.peer, self._data)
        self._repeat_later()

    def _give_up(self) -> None:
        self.stop()
        self._owner.invite_never_acknowledged()
