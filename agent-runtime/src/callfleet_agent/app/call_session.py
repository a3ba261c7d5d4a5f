"""A call of the telephone as the session that is kept of it."""

from datetime import datetime, timedelta
from secrets import randbits
from time import time
from typing import Final
from uuid import UUID

from callfleet_agent.app.call_parts import CallsShare
from callfleet_agent.app.call_story import kept_call_id, kept_number, utc_now
from callfleet_agent.link import Caller
from callfleet_agent.session import Call, EndedBy
from callfleet_agent.session.identifiers import uuid7
from callfleet_agent.session.record import CallSession, SessionStatus
from callfleet_agent.sip.call import CallInfo
from callfleet_agent.sip.dialog import Dialog

# The line or the pod went away under a conversation; what else fails could not be served.
_CUT_OFF: Final = frozenset({"media-timeout", "session-expired", "transport", "stopped"})


def new_id() -> UUID:
    """A call's id, which carries its time."""
    return uuid7(int(time() * 1000), randbits(74))


def caller_of(about: CallInfo) -> Caller:
    """Who calls, as a worker is told."""
    return Caller(about.caller.id, about.caller.trusted, about.caller.withheld)


def session_of(session_id: UUID, about: CallInfo, share: CallsShare) -> CallSession:
    """The session of a call that is being answered."""
    return CallSession(
        session_id=session_id,
        sip_call_id=kept_call_id(about.call_id, session_id),
        call_start_time=utc_now(),
        caller_phone=kept_number(about.caller.id),
        ai_provider_config=share.providers,
        avc_instance=share.pod,
        voice_agent=share.voice_agent,
    )


def status_of(call: Call[Dialog], cause: str) -> SessionStatus:
    """How a call ended."""
    if cause in _CUT_OFF:
        return SessionStatus.INTERRUPTED
    by_one_of_the_two = call.ended_by in {EndedBy.CALLER, EndedBy.AGENT}
    return SessionStatus.COMPLETED if by_one_of_the_two else SessionStatus.FAILED


def ended_at(call: Call[Dialog], now: float) -> datetime:
    """When it ended, by the calendar."""
    ago_s = 0.0 if call.ended_at is None else max(0.0, now - call.ended_at)
    return utc_now() - timedelta(seconds=ago_s)
