"""The calls of a connector: who may come in, who is there, and to whom SIP's events go."""

import asyncio
import logging
from collections.abc import Callable
from typing import Final
from uuid import UUID

from callfleet_agent.app.agent_call import AgentCall
from callfleet_agent.app.call_parts import CallParts
from callfleet_agent.session import Refusal
from callfleet_agent.session.admission import Refused
from callfleet_agent.sip import events
from callfleet_agent.sip.call import Call as SipCall

_PHRASES: Final = {
    Refusal.NOT_READY: "Not Ready",
    Refusal.DRAINING: "Draining",
    Refusal.FULL: "All Lines Busy",
    Refusal.NO_WORKER: "No Worker",
}
_log = logging.getLogger(__name__)


class CallDesk:
    """Takes calls in. `refused`: why no further one may come in; `changed`: a call came or ended,
    and which of the two."""

    def __init__(
        self,
        parts: CallParts,
        tasks: asyncio.TaskGroup,
        refused: Callable[[], Refused | None],
        changed: Callable[[bool], None],
    ) -> None:
        self._parts = parts
        self._tasks = tasks
        self._refused = refused
        self._changed = changed
        self._calls: dict[SipCall, AgentCall] = {}
        self._running: set[asyncio.Task[None]] = set()
        self._numbers = 0

    def __len__(self) -> int:
        return len(self._calls)

    @property
    def waiting(self) -> int:
        """Calls without a worker at this moment."""
        return sum(call.waits for call in self._calls.values())

    def holds(self, session_id: UUID) -> bool:
        """Whether the session is one of these calls."""
        return any(call.uuid == session_id for call in self._calls.values())

    def on_event(self, event: events.Event) -> None:
        """SIP tells something."""
        if isinstance(event, events.IncomingCall):
            self._offered(event)
            return
        call = self._calls.get(event.call)
        if call is not None:
            call.on_event(event)

    def hang_up(self, reason: str) -> None:
        """Say good-bye to every call."""
        for call in tuple(self._calls.values()):
            call.hang_up(reason)

    def give_up(self) -> None:
        """The process leaves."""
        for call in tuple(self._calls.values()):
            call.give_up()

    async def empty(self, limit_s: float) -> None:
        """Wait until every call has told its end, no longer than this."""
        if self._running:
            await asyncio.wait(self._running, timeout=limit_s)

    def _offered(self, event: events.IncomingCall) -> None:
        metrics = self._parts.metrics
        metrics.call_offered()
        refused = self._refused()
        if refused is not None:
            metrics.call_refused(refused.reason)
            _log.info("a call was refused", extra={"reason": refused.reason.value})
            with self._parts.sip.commands() as now:
                event.call.reject(
                    refused.status,
                    _PHRASES.get(refused.reason),
                    retry_after=refused.retry_after_s,
                    now=now,
                )
            return
        self._numbers += 1
        call = AgentCall(self._parts, event, self._numbers)
        self._calls[event.call] = call
        self._changed(False)
        task = self._tasks.create_task(self._run(event.call, call))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _run(self, key: SipCall, call: AgentCall) -> None:
        try:
            await call.run()
        except Exception:
            # Out of here it would cancel the connector, and with it every other call.
            _log.exception("a call's end failed")
        finally:
            del self._calls[key]
            self._changed(True)
