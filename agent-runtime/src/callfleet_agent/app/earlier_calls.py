"""The search for a call of the same caller that broke off: in the stores, in a quarter of a second
unless an agent is told another time.

A store that is slow, away or wrong costs a caller nothing but the offer to go on. It is asked while
the call is being answered, and not at all while it has failed too often.
"""

import asyncio
import logging
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

from callfleet.v1 import context_pb2, context_pb2_grpc, session_pb2, session_pb2_grpc
from callfleet_agent.app.call_story import kept_number, utc_now
from callfleet_agent.app.remembered import TRUSTED, earlier_of
from callfleet_agent.link import Caller, Earlier
from callfleet_agent.services.client import Service
from callfleet_agent.services.guarded import (
    Guard,
    Guarded,
    ServiceAwayError,
    ServiceRefusedError,
)
from callfleet_agent.services.inputs.plain import plain
from callfleet_agent.services.inputs.sessions import STATUSES
from callfleet_agent.session.continuing import EarlierCall, Unfit, unfit
from callfleet_agent.session.record import CallSession
from callfleet_agent.time_limit import until

LIMIT_S: Final = 0.25
AWAY: Final = "away"
FOUND: Final = "found"
NO_CONTEXT: Final = "CONTEXT_NOT_FOUND"
OUTCOMES: Final = (FOUND, AWAY, *(reason.value for reason in Unfit))
# Both questions together are shorter than the limit: a store that hangs is known to be away.
_EACH: Final = 0.48
_SESSIONS: Any = session_pb2_grpc.SessionManagerServiceStub
_CONTEXTS: Any = context_pb2_grpc.ContextStoreServiceStub
_log = logging.getLogger(__name__)


class EarlierCalls:
    """Asks the session manager, then the context store. `holds`: whether a session is a call of
    this process; `told`: hears what came of each search; `limit_s` is how long a call waits."""

    def __init__(
        self,
        sessions: Service,
        contexts: Service,
        *,
        holds: Callable[[UUID], bool],
        told: Callable[[str], None],
        now: Callable[[], datetime] = utc_now,
        limit_s: float = LIMIT_S,
    ) -> None:
        guard = Guard(limit_s=limit_s * _EACH, retries=0)
        self.limit_s = limit_s
        self._sessions = Guarded(sessions, guard)
        self._contexts = Guarded(contexts, guard)
        self._holds = holds
        self._told = told
        self._now = now

    async def of(self, caller: Caller, sip_call_id: str, session_id: UUID) -> Earlier | None:
        """What the caller may go on with; None when there is nothing."""
        number = kept_number(caller.id) if caller.trusted and not caller.withheld else ""
        try:
            found = await self._found(number, sip_call_id, session_id)
        except (ServiceAwayError, ServiceRefusedError) as error:
            _log.debug("an earlier call cannot be looked for", extra={"reason": str(error)})
            found = AWAY
        self._told(found if isinstance(found, str) else FOUND)
        return None if isinstance(found, str) else found

    def is_late(self) -> None:
        """A search was not waited for."""
        self._told(AWAY)

    async def _found(self, number: str, sip_call_id: str, session_id: UUID) -> Earlier | str:
        """What was found, or why nothing was."""
        last = await self._last(number, sip_call_id, session_id)
        if last is None:
            return Unfit.NONE
        if self._holds(last.session_id):
            return Unfit.GOES_ON
        return await self._judged(last, vouched=not number)

    async def _last(self, number: str, sip_call_id: str, session_id: UUID) -> CallSession | None:
        question = session_pb2.FindInterruptedRequest(
            caller_phone=number,
            sip_call_id="" if number else sip_call_id,
            session_id=str(session_id),
        )
        answer = await self._sessions.ask(_SESSIONS, "FindInterrupted", question, str(session_id))
        return _session(answer.session) if answer.HasField("session") else None

    async def _judged(self, found: CallSession, *, vouched: bool) -> Earlier | str:
        question = context_pb2.ContextRequest(session_id=str(found.session_id), history_limit=1)
        try:
            context = await self._contexts.ask(
                _CONTEXTS, "GetContext", question, str(found.session_id)
            )
        except ServiceRefusedError as error:
            if error.refused.code == NO_CONTEXT:
                return Unfit.NOTHING
            raise
        facts = plain(context).get("customer_data", {})
        reason = unfit(
            EarlierCall(
                session=found,
                told_at=context.last_updated.ToDatetime(tzinfo=UTC),
                now=self._now(),
                wanted=context.current_intent,
                vouched=vouched or facts.get(TRUSTED) is True,
            )
        )
        return earlier_of(context.current_intent, facts) if reason is None else reason


class Search:
    """One call's search, which goes on while the call is answered."""

    def __init__(
        self, calls: EarlierCalls | None, caller: Caller, sip_call_id: str, session_id: UUID
    ) -> None:
        self._calls = calls
        self._ends_at = asyncio.get_running_loop().time()
        self._task: asyncio.Task[Earlier | None] | None = None
        if calls is not None:
            self._ends_at += calls.limit_s
            self._task = asyncio.ensure_future(calls.of(caller, sip_call_id, session_id))

    async def found(self) -> Earlier | None:
        """What was found in time."""
        task, self._task = self._task, None
        if task is None or self._calls is None:
            return None
        try:
            async with until(self._ends_at):
                return await task
        except TimeoutError:
            self._calls.is_late()
            return None

    async def end(self) -> None:
        """Nobody needs it any more."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


def _session(said: session_pb2.CallSession) -> CallSession:
    ended = said.HasField("call_end_time")
    return CallSession(
        session_id=UUID(said.session_id),
        sip_call_id=said.sip_call_id,
        call_start_time=said.call_start_time.ToDatetime(tzinfo=UTC),
        status=STATUSES[said.status],
        call_end_time=said.call_end_time.ToDatetime(tzinfo=UTC) if ended else None,
        avc_instance=said.avc_instance,
        voice_agent=said.voice_agent,
    )
